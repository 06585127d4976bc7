const { defineConfig } = require("@medusajs/framework/utils");

module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    http: { jwtSecret: "none", cookieSecret: "none", storeCors: "*", adminCors: "*", authCors: "*" },
  },
  admin: { disable: true },
});
