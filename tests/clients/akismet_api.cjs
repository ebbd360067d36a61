// Drives npm's `akismet-api`, as installed, against a server given on the command line. It puts the
// key before the host name, which a wildcard entry in DNS would lead to the server: so does this.

const dns = require("node:dns");
const { createRequire } = require("node:module");

const [directory, port, key, blog] = process.argv.slice(2);
const lookup = dns.lookup;
dns.lookup = (name, options, done) =>
  lookup(name.endsWith(".duyet.test") || name === "duyet.test" ? "127.0.0.1" : name, options, done);

const { AkismetClient } = createRequire(`${directory}/`)("akismet-api");
const client = new AkismetClient({ key, blog, host: `duyet.test:${port}`, protocol: "http" });

const good = { ip: "203.0.113.7", useragent: "Mozilla/5.0", name: "Zoë", content: "Đúng là hữu ích." };
const spam = { ...good, name: "akismet-guaranteed-spam", content: "x" };

(async () => {
  const told = { valid: await client.verifyKey() };
  if (told.valid) {
    told.good = !(await client.checkSpam(good));
    told.spam = await client.checkSpam(spam);
    await client.submitSpam(good);
    await client.submitHam(good);
    told.reported = true;
  }
  console.log(JSON.stringify(told));
})();
