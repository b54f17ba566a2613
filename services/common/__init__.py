"""What every process needs: settings, server, interceptors, errors, tokens, pipe, ids, telemetry, database."""
