"""The script for each shell. Words travel as arguments and lines of output: nothing is evaluated by the shell."""

BASH = """\
_rlgen_complete() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(RLGEN_COMPLETE=bash "${COMP_WORDS[0]}" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _rlgen_complete rlgen
"""
ZSH = """\
#compdef rlgen
_rlgen() {
    local line tab=$'\\t'
    local -a found shown
    while IFS= read -r line; do
        found+=("${line%%$tab*}")
        shown+=("${line%%$tab*}${${line#*$tab}:+  ${line#*$tab}}")
    done < <(RLGEN_COMPLETE=zsh "${words[1]}" "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        compset -P '--*='
        compadd -M 'm:{a-zA-Z}={A-Za-z}' -l -d shown -a found
    else
        compset -P '--*='
        _files
    fi
}
if [[ $funcstack[1] == _rlgen ]]; then
    _rlgen "$@"
else
    compdef _rlgen rlgen
fi
"""
FISH = """\
function __rlgen_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found (env RLGEN_COMPLETE=fish $words "$last" 2>/dev/null)
    set -l option (string match -r '^--[^=]*=' -- $last)
    if test (count $found) -gt 0
        for line in $found
            echo "$option$line"
        end
    else
        __fish_complete_path (string replace -r '^--[^=]*=' '' -- $last)
    end
end
complete -c rlgen -f -a '(__rlgen_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
INSTALL = {
    "bash": 'add to ~/.bashrc:  eval "$(rlgen completion bash)"',
    "zsh": 'add to ~/.zshrc, after compinit:  eval "$(rlgen completion zsh)"',
    "fish": "rlgen completion fish > ~/.config/fish/completions/rlgen.fish",
}
