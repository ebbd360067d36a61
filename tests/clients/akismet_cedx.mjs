// Drives npm's `@cedx/akismet`, as installed, against a server given on the command line.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [directory, port, key, blog] = process.argv.slice(2);
const require = createRequire(`${directory}/`);
const { Author, Blog, CheckResult, Client, Comment } = await import(
  pathToFileURL(require.resolve("@cedx/akismet")).href
);

const client = new Client(key, new Blog({ charset: "UTF-8", languages: ["vi"], url: blog }), {
  baseUrl: `http://127.0.0.1:${port}/`,
});
const told = { valid: await client.verifyKey() };
if (told.valid) {
  const by = (name) => new Author({ ipAddress: "203.0.113.7", name, userAgent: "Mozilla/5.0" });
  const good = new Comment({
    author: by("Zoë"), content: "Đúng là hữu ích.", context: ["tin", "thể thao"], type: "comment",
  });
  const spam = new Comment({ author: by("akismet-guaranteed-spam"), content: "x" });
  told.good = await client.checkComment(good) === CheckResult.ham;
  told.spam = await client.checkComment(spam) !== CheckResult.ham;
  await client.submitSpam(good);
  await client.submitHam(good);
  told.reported = true;
}
console.log(JSON.stringify(told));
