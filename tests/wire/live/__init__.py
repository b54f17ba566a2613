"""Black-box tests of subscriptions."""
