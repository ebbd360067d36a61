// Drives npm's `perspective-api-client`, as installed. It knows one address alone, so requests to
// that are sent to the server given on the command line.

const { createRequire } = require("node:module");

const [directory, root, key] = process.argv.slice(2);
const load = createRequire(`${directory}/`);
const axios = load("axios");
const Perspective = load("perspective-api-client");

axios.interceptors.request.use((config) => ({
  ...config, proxy: false, url: config.url.replace("https://commentanalyzer.googleapis.com", root),
}));

(async () => {
  const client = new Perspective({ apiKey: key });
  const told = {
    scores: await client.analyze("Đúng là <b>hữu ích</b>.", { attributes: ["toxicity", "spam"] }),
  };
  try {
    await client.analyze("Đúng là hữu ích.", { attributes: ["threat"] });
  } catch (error) {
    told.refused = [error.response.status, error.message];
  }
  console.log(JSON.stringify(told));
})();
