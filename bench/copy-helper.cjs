#!/usr/bin/env node
// The least that a git remote helper in Node can do: for each object that git asks for, it copies prepared files into the
// object store and does nothing else: no verification, no fsync, no other form of the object. bench/lazy-fetch.ts
// measures against it. The "URL" is a folder with a folder of files for each object id.
const { copyFileSync, mkdirSync, readdirSync } = require("node:fs");
const { join } = require("node:path");

const [, , , folder] = process.argv;
const answers = {
  capabilities: "fetch\noption\nobject-format\n\n",
  option: "ok\n",
  list: "\n",
  "": "",
};
let wanted = [];
let rest = "";
process.stdin.setEncoding("utf8").on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    const [command, oid] = line.split(" ");
    if (command === "fetch") wanted.push(oid);
    else if (command === "" && wanted.length > 0) {
      for (const each of wanted) copy(each);
      wanted = [];
      process.stdout.write("\n");
    } else if (command === "") process.exit();
    else process.stdout.write(answers[command]);
  }
});

/** `2f/…` of a loose object, or the three files of a pack, the index last. */
function copy(oid) {
  const names = readdirSync(join(folder, oid), { recursive: true, withFileTypes: true });
  const files = names
    .filter((entry) => entry.isFile())
    .sort((a, b) => (a.name.endsWith(".idx") ? 1 : b.name.endsWith(".idx") ? -1 : 0));
  for (const { parentPath, path, name } of files) {
    const below = (parentPath ?? path).slice(join(folder, oid).length + 1);
    const target = join(process.env.GIT_DIR, "objects", below);
    mkdirSync(target, { recursive: true });
    copyFileSync(join(parentPath ?? path, name), join(target, name));
  }
}
