// Signs a body on standard input as Coral does, with node's own crypto, and sends it.

const { createHmac } = require("node:crypto");
const { readFileSync } = require("node:fs");

const [url, ...secrets] = process.argv.slice(2);
const body = readFileSync(0);
const signature = secrets
  .map((secret) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`)
  .join(",");

(async () => {
  const answer = await fetch(url, {
    method: "POST", body,
    headers: { "Content-Type": "application/json", "X-Coral-Signature": signature },
  });
  const text = await answer.text();
  console.log(JSON.stringify({ status: answer.status, body: text ? JSON.parse(text) : null }));
})();
