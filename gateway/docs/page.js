// Shows /openapi.json. Tokens that are typed in stay in the page, and are gone with it.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  persistAuthorization: false,
  validatorUrl: null, // which would be somebody else's server
});
