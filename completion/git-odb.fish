# fish completion for git odb: put it into ~/.config/fish/conf.d/, or
#   git odb completion fish | source

function __git_odb_words
    git odb (commandline -opc)[3..-1] --git-completion-helper 2>/dev/null | string split ' '
end

function __git_odb_names
    git config --name-only --get-regexp '^odb\..*\.(url|subprocesscommand|scriptcommand)$' 2>/dev/null |
        string replace -r '^odb\.(.*)\.[^.]*$' '$1' | sort -u
end

complete -c git -n '__fish_use_subcommand' -a odb -d 'keep big files outside of the repository'
complete -c git -n '__fish_seen_subcommand_from odb; and test (count (commandline -opc)) -eq 2' -x -a '(__git_odb_words)'
complete -c git -n '__fish_seen_subcommand_from odb; and test (count (commandline -opc)) -eq 3' -a '(__git_odb_names)'
complete -c git -n '__fish_seen_subcommand_from odb; and string match -q -- "--*" (commandline -ct)' -a '(__git_odb_words)'
