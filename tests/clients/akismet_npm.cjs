// Drives npm's `akismet`, as installed, against a server given on the command line: the one that
// Waline and Staticman use. It puts the key before the host name, as `akismet-api` does.

const dns = require("node:dns");
const { createRequire } = require("node:module");
const { promisify } = require("node:util");

const [directory, port, key, blog] = process.argv.slice(2);
const lookup = dns.lookup;
dns.lookup = (name, options, done) =>
  lookup(name.endsWith(".duyet.test") || name === "duyet.test" ? "127.0.0.1" : name, options, done);

const client = createRequire(`${directory}/`)("akismet").client({
  apiKey: key, blog, host: "duyet.test", port: Number(port),
});
const call = (name) => promisify(client[name].bind(client));

const good = { user_ip: "203.0.113.7", comment_author: "Zoë", comment_content: "Đúng là hữu ích." };
const spam = { ...good, comment_author: "akismet-guaranteed-spam" };

(async () => {
  const told = { valid: await call("verifyKey")() };
  if (told.valid) {
    told.good = !(await call("checkComment")({ ...good }));
    told.spam = await call("checkComment")({ ...spam });
    await call("submitSpam")({ ...good });
    await call("submitHam")({ ...good });
    told.reported = true;
  }
  console.log(JSON.stringify(told));
})();
