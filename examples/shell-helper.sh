#!/bin/sh
# A whole helper in shell, for script mode. It keeps objects in a bare repository, in git's own loose form:
#   git config odb.magic.scriptCommand "/path/to/shell-helper.sh /path/to/store"
set -eu
store=$1 instruction=$2 oid=${3-} size=${4-} type=${5-}
export GIT_NO_EXTERNAL_ODB=1 # else each git below would start this helper again

# The store has the hash function of the repository that uses it; an old git knows one only.
format=$(git config extensions.objectFormat || echo sha1)
store=$store/$format
if [ ! -d "$store" ]; then
	option= && [ "$format" = sha1 ] || option=--object-format=$format
	(unset GIT_DIR; git init -q --bare $option "$store") >&2
fi
export GIT_DIR="$store"
file=$store/objects/$(printf %.2s "$oid")/${oid#??}

case $instruction in
init) printf 'capability=%s\n' get_git_obj put_raw_obj have ;;
have) # cat-file says "<oid> <type> <size>"
	git cat-file --batch-all-objects --batch-check | while read -r o t s; do echo "$o $s $t"; done ;;
get_git_obj) cat "$file" ;; # what is there was hashed when it was written
put_raw_obj)
	part=$(mktemp "$store/put-XXXXXX")
	trap 'rm -f "$part"' EXIT
	cat >"$part" # a put is read to its end, whatever becomes of it
	[ "$type" = blob ] && [ "$(($(wc -c <"$part")))" = "$size" ] || { echo "$oid: not $size bytes" >&2; exit 1; }
	[ "$(git hash-object --stdin <"$part")" = "$oid" ] || { echo "$oid: other bytes came" >&2; exit 1; }
	git -c core.fsyncObjectFiles=true hash-object -w --stdin <"$part" >/dev/null ;;
*) echo "unknown instruction $instruction" >&2; exit 1 ;;
esac
