# fish completion for git odb: put it into ~/.config/fish/conf.d/, or
#   git odb completion fish | source

function __git_odb_words
    git odb (commandline -opc)[3..-1] --git-completion-helper 2>/dev/null | string split ' '
end

function __git_odb_names
    git config --name-only --get-regexp '^odb\..*\.(url|subprocesscommand|scriptcommand)$' 2>/dev/null |
        string replace -r '^odb\.(.*)\.[^.]*$' '$1' | sort -u
end

# The first word after a verb that takes one of a few.
function __git_odb_choices
    switch (commandline -opc)[3]
        case conformance
            printf '%s\n' helper store
        case bundle
            printf '%s\n' create update list serve fetch clone ref
        case completion
            printf '%s\n' bash zsh fish
        case help
            git odb --git-completion-helper 2>/dev/null | string split ' '
    end
end

function __git_odb_at
    set -l words (commandline -opc)
    contains -- odb $words; and test (count $words) -eq $argv[1]
end

complete -c git -n __fish_use_subcommand -a odb -d 'keep big files outside of the repository'
complete -c git -n '__git_odb_at 2' -x -a '(__git_odb_words)'
complete -c git -n '__git_odb_at 3; and count (__git_odb_choices) >/dev/null' -x -a '(__git_odb_choices)'
complete -c git -n '__git_odb_at 3; and not count (__git_odb_choices) >/dev/null' -a '(__git_odb_names)'
complete -c git -n '__fish_seen_subcommand_from odb; and string match -q -- "--*" (commandline -ct)' -a '(__git_odb_words)'
