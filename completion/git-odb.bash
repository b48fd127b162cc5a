# bash completion for git odb: git's own completion calls _git_odb for "git odb <TAB>".
#
# Put it where bash-completion finds it by its name, as
# ~/.local/share/bash-completion/completions/git-odb, or source it from ~/.bashrc:
#   source <(git odb completion bash)

_git_odb ()
{
	# git before 2.34 does not set __git_cmd_idx.
	local at=$((${__git_cmd_idx:-1} + 1))
	local verb=${words[at]-}
	if [ "$cword" -le "$at" ]; then
		__git_odb_words
		__gitcomp "$REPLY"
		return
	fi
	case "$cur" in
	--get=*)
		__gitcomp "git raw direct" "" "${cur##--get=}"
		return
		;;
	--mode=*)
		__gitcomp "process script" "" "${cur##--mode=}"
		return
		;;
	--layout=*)
		__gitcomp "raw loose" "" "${cur##--layout=}"
		return
		;;
	--*=*)
		return
		;;
	--*)
		if [[ $verb = @(conformance|bundle) && $cword -gt $((at + 1)) ]]; then
			__git_odb_words "$verb" "${words[at + 1]}"
		else
			__git_odb_words "$verb"
		fi
		__gitcomp "$REPLY"
		return
		;;
	esac
	__git_odb_argument "$verb" $((cword - at))
}

# $1: verb, $2: which word after it
__git_odb_argument ()
{
	case "$1,$2" in
	conformance,1)
		__gitcomp "helper store"
		;;
	bundle,1)
		__gitcomp "create update list serve fetch clone ref"
		;;
	completion,1)
		__gitcomp "bash zsh fish"
		;;
	help,1)
		__git_odb_words
		__gitcomp "$REPLY"
		;;
	conformance,*|serve,*|env,*|bundle,*|mirror,*)
		;;
	status,*|ls,*|fsck,*|*,1)
		__gitcomp_nl "$(__git_odb_names)"
		;;
	esac
}

# Sets REPLY to the words that can follow: git odb itself is asked, once a shell for each verb.
__git_odb_words ()
{
	local cache="__git_odb_cache_$*"
	cache=${cache//[^a-z_]/_}
	if [ -z "${!cache-}" ]; then
		printf -v "$cache" '%s' "$(__git odb "$@" --git-completion-helper)"
	fi
	REPLY=${!cache}
}

__git_odb_names ()
{
	__git config --name-only --get-regexp '^odb\..*\.(url|subprocesscommand|scriptcommand)$' |
		sed -e 's/^odb\.//' -e 's/\.[^.]*$//' | sort -u
}

# For "git-odb <TAB>", without git in front.
if declare -f __git_complete >/dev/null; then
	__git_complete git-odb _git_odb
fi
