#!/bin/sh
# A right helper of script mode, and every way to be wrong: script-helper.sh <fault> <store> <raw|direct> <instruction>…
# `ok` is the fault of none. Each fault is the line or two that mention its name; all else is as it should be.
set -eu
fault=$1 store=$2 get=$3 instruction=$4 oid=${5-} size=${6-}
export GIT_NO_EXTERNAL_ODB=1
mkdir -p "$store"

is() { [ "$fault" = "$1" ]; }
# Whether this object is of the size that the fault is about.
sized() { is "$1" && [ "$size" = "$2" ]; }

capabilities() {
	is starts && exit 3
	is init-lines && echo "helper ready"
	is one-get && echo capability=get_git_obj
	case $get in raw) echo capability=get_raw_obj ;; direct) echo capability=get_direct ;; esac
	echo capability=put_raw_obj
	is have-offered || is direct-needs-have || echo capability=have
}

have() {
	is have-well-formed && echo "# objects"
	is have-is-true && echo "dddddddddddddddddddddddddddddddddddddddd 7 blob"
	cd "$store"
	set -- *
	[ -e "$1" ] || return 0
	wc -c "$@" | while read -r size name; do
		[ "$name" = total ] && continue
		sized have-after-put 300 && continue
		sized have-next-session 301 && continue
		sized have-true-size 305 && size=304
		echo "$name $size blob"
	done
}

# On stdout, or into the repository.
get() {
	[ -e "$store/$oid" ] || { if is get-absent; then exit 0; else exit 1; fi; }
	is started-anywhere && [ "${GIT_DIR-}" != .git ] && exit 1
	if is one-get; then loose; elif [ "$get" = raw ]; then cat "$store/$oid"; else
		size=$(($(wc -c <"$store/$oid")))
		sized direct-installs 500 || git hash-object -w --stdin <"$store/$oid" >/dev/null
	fi
}

# The loose form of an object: git makes it.
loose() {
	objects=$(mktemp -d "$store.XXXXXX")
	GIT_OBJECT_DIRECTORY=$objects git hash-object -w --stdin <"$store/$oid" >/dev/null
	cat "$objects"/*/*
	rm -rf "$objects"
}

put() {
	is put-stdout-closed && echo "storing $oid"
	is git-without-odb && env -u GIT_NO_EXTERNAL_ODB git --version >/dev/null
	part=$(mktemp "$store.XXXXXX")
	trap 'rm -f "$part"' EXIT
	content >"$part"
	is sha256 && [ ${#oid} = 64 ] && exit 1
	is put-wrong-size || [ "$(($(wc -c <"$part")))" = "$size" ] || exit 1
	hash=$(git hash-object --stdin <"$part")
	is put-corrupt && [ "$hash" != "$oid" ] && exit 0
	is put-repeats-8MiB && [ "$size" -gt 8388608 ] && exit 0
	[ "$hash" = "$oid" ] || exit 1
	lost && exit 0
	sized put-twice 200 && [ -e "$store/$oid" ] && exit 1
	locked && exit 1
	mv "$part" "$store/$oid"
}

content() {
	if is put-refused-is-read; then head -c $((size + 1)); elif sized put-slowly 250; then
		dd bs=65536 count=1 2>/dev/null
	elif is blob-binary; then tr -d '\000'; else cat; fi
}

# Taken, and stored nowhere.
lost() {
	sized get-next-session 400 || sized blob-empty 0 || sized blob-1-byte 1 || sized blob-4096-bytes 4096 ||
		sized blob-4097-bytes 4097 || sized blob-65516-bytes 65516 || sized blob-65517-bytes 65517 ||
		sized blob-8MiB-minus-1 8388607 || sized blob-8MiB 8388608 || sized blob-8MiB-plus-1 8388609 ||
		sized blob-20MiB 20971520
}

# A put takes its time, and another one meanwhile gives up.
locked() {
	sized two-at-once 203 && { mkdir "$store.lock"; sleep 1; rmdir "$store.lock"; return 1; }
	sized two-at-once 202 && [ -e "$store/$oid" ] && { sleep 0.4; [ -d "$store.lock" ]; }
}

case $instruction in
init) capabilities ;;
have) have ;;
get_raw_obj | get_direct | get_git_obj) get ;;
put_raw_obj) put ;;
*) is unknown-instruction || exit 1 ;;
esac
