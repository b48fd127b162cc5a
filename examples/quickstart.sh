#!/bin/sh
# From a fresh clone to big files outside of git and back again: installs, builds, and does the main job on real files.
# Needs node >= 20.19, npm and git. Leaves nothing behind but node_modules and dist; KEEP=1 keeps the scratch folder.
#
# A git with external-ODB support cannot be installed from a package, so examples/play-git.mjs stands in for it: it
# runs the very helper command that `git odb init` wrote, through the shell, and speaks git's protocol over its pipes.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
  printf '  $ %s\n' "$*"
  "$@"
}

say "1. Install and build"
if [ ! -d node_modules ] || [ ! -d dist ]; then npm ci --no-fund --no-audit --loglevel=error; fi
[ -x dist/bin/git-odb.cjs ] || npm run build

scratch=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  if [ -n "${KEEP:-}" ]; then echo "kept: $scratch"; else rm -rf "$scratch"; fi
}
trap stop EXIT
mkdir "$scratch/bin"
for command in "$root"/dist/bin/git-*.cjs; do ln -s "$command" "$scratch/bin/$(basename "$command" .cjs)"; done
PATH=$scratch/bin:$PATH
export PATH
play="node $root/examples/play-git.mjs"

say "2. A repository whose *.bin and *.psd files belong in an external ODB, a plain folder"
run git init -q -b main "$scratch/work"
cd "$scratch/work"
git config user.name "Quick Start" && git config user.email quick@example.com
run git odb init magic "$scratch/store"
run git odb track magic '*.bin' '*.psd'
cp "$(command -v node)" program.bin
cat "$root"/package-lock.json "$root"/package-lock.json >layers.psd
: >empty.bin
sed 's/^/  .gitattributes: /' .gitattributes
ls -l program.bin layers.psd empty.bin | awk '{ printf "  %12d bytes  %s\n", $5, $NF }'

say "3. Subprocess mode: what git says to the helper for \`git add layers.psd empty.bin\`"
run $play add magic layers.psd empty.bin
say "   … and for program.bin, without the packets"
QUIET=1 run $play add magic program.bin

say "4. Script mode, one process an instruction, for one more file"
run git odb init --script magic "$scratch/store"
seq 100000 >numbers.bin
run $play add magic numbers.bin
run git odb init magic "$scratch/store"

say "5. What the store holds: the files themselves, under their git ids"
(cd "$scratch/store" && find objects -type f | while read -r key; do
  printf '  %s  %12d bytes\n' "$key" "$(wc -c <"$key")"
done)

say "6. What git knows of them: a metadata ref each"
git for-each-ref --format='  %(refname)' refs/odbs
echo "  one of them says: $(git cat-file blob "$(git for-each-ref --format='%(objectname)' --count=1 refs/odbs)")"
[ "$(git for-each-ref refs/odbs | wc -l)" -eq 4 ]

say "7. The same folder over HTTP"
git odb serve --read-only --port 0 "$scratch/store" >"$scratch/serve.out" 2>&1 &
server=$!
url=
while [ -z "$url" ]; do
  kill -0 "$server" || { cat "$scratch/serve.out"; exit 1; }
  sleep 0.1
  url=$(sed -n 's/.*\(http:[^ ]*\).*/\1/p' "$scratch/serve.out" | head -n 1)
done
echo "  git odb serve: $url"

say "8. A second repository fetches the refs and gets every blob back"
run git init -q -b main "$scratch/second"
cd "$scratch/second"
run git fetch -q "$scratch/work" 'refs/odbs/magic/*:refs/odbs/magic/*'
run git odb init magic "$url"
for file in layers.psd empty.bin program.bin numbers.bin; do
  oid=$(git hash-object --no-filters -- "$scratch/work/$file")
  [ "$(git rev-parse -q --verify "refs/odbs/magic/$oid" || echo none)" != none ]
  QUIET=1 run $play cat magic "$oid" "$file"
  cmp "$file" "$scratch/work/$file"
  echo "    $file: $(wc -c <"$file") bytes, the same as the original, byte for byte"
done

say "Done: 4 blobs went into the store and came back over HTTP under their own git ids."
