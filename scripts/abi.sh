#!/usr/bin/env bash
# Describes the binary interface of the C library: its exported symbols, the functions' types, and the layout
# of every public struct and enum.
#
#     abi.sh check LIBRARY     fails when it differs from Sources/CParley/parley.abi
#     abi.sh update LIBRARY    writes that file
#
# Names of parameters are left out: they are not part of the binary interface.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:?usage: abi.sh check|update LIBRARY}
library=${2:?usage: abi.sh check|update LIBRARY}
header=Sources/CParley/include/parley.h
list=Sources/CParley/parley.abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints every declaration of the header itself, without those of its includes and without attributes, one on
# each line.
"${CC:-cc}" -std=c11 -E "$header" | awk '
    /^# [0-9]+ / { own = $3 ~ /parley\.h"$/; next }
    own { text = text " " $0 }
    END {
        gsub(/__attribute__ *\(\(([^()]|\([^()]*\))*\)\)/, "", text)
        gsub(/[ \t]+/, " ", text)
        for (i = 1; i <= length(text); i++) {
            character = substr(text, i, 1)
            depth += (character == "{") - (character == "}")
            declaration = declaration character
            if (character == ";" && depth == 0) { print declaration; declaration = "" }
        }
    }' | sed 's/^ //' > "$work/declarations"

# Removes the names of parameters: the last word, after another word or a star.
nameless() {
    sed -E ':again s/([A-Za-z0-9_] |\*)[a-z_][a-z_0-9]*([,)])/\1\2/; t again; s/ +([,)])/\1/g; s/\( /(/g'
}

grep -vE '^typedef (struct|enum) [a-z_]+ \{' "$work/declarations" \
    | sed -E 's/^typedef (.*)\(\*([a-z_]+)\)/typedef \2: \1(*)/' | nameless | LC_ALL=C sort > "$work/types"

# Writes a program that prints the offset of each field and the value of each constant.
{
    echo '#include <stdio.h>'
    echo '#include "parley.h"'
    echo 'int main(void) {'
    grep -E '^typedef (struct|enum) [a-z_]+ \{' "$work/declarations" | awk '
        {
            name = $3
            is_struct = $2 == "struct"
            body = $0
            sub(/^[^{]*\{ */, "", body)
            sub(/ *\}[^}]*$/, "", body)
            printf "printf(\"%s %s: %%zu bytes\\n\", sizeof(%s));\n", $2, name, name
            count = split(body, members, is_struct ? ";" : ",")
            for (i = 1; i <= count; i++) {
                member = members[i]
                gsub(/^ +| +$/, "", member)
                if (member == "") continue
                if (is_struct) {
                    array = ""
                    if (match(member, /\[[0-9]+\]$/)) {
                        array = substr(member, RSTART)
                        member = substr(member, 1, RSTART - 1)
                    }
                    field = member
                    if (match(member, /\(\*[a-z_0-9]+\)/)) field = substr(member, RSTART + 2, RLENGTH - 3)
                    else sub(/.*[ *]/, "", field)
                    type = member
                    sub("[*]" field "\\)", "*)", type)
                    if (type == member) sub("[ ]?" field "$", "", type)
                    printf "printf(\"    %s.%s at %%zu, %%zu bytes: %s%s\\n\", ", name, field, type, array
                    printf "offsetof(%s, %s), sizeof(((%s *)0)->%s));\n", name, field, name, field
                } else {
                    sub(/ *=.*/, "", member)
                    printf "printf(\"    %s = %%d\\n\", (int)%s);\n", member, member
                }
            }
        }'
    sed -n 's/^#define \(PARLEY_[A-Z_]*\) (.*/\1/p' "$header" | grep -v '^PARLEY_VERSION' \
        | while read -r macro; do
        echo "printf(\"$macro = %lld\\n\", (long long)$macro);"
    done
    echo '}'
} > "$work/layout.c"
"${CC:-cc}" -std=c11 -I "$(dirname "$header")" -o "$work/layout" "$work/layout.c"

nm -D --defined-only --extern-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' \
    | LC_ALL=C sort > "$work/symbols"

# The header must declare exactly what the library exports.
sed -nE 's/^[^(]*[ *](parley_[a-z_]+)\(.*/\1/p' "$work/types" | LC_ALL=C sort > "$work/declared"
if ! diff "$work/declared" "$work/symbols" > "$work/difference"; then
    sed -n 's/^< /declared in parley.h, not exported: /p; s/^> /exported, not declared in parley.h: /p' \
        "$work/difference" >&2
    exit 1
fi

soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
{
    echo "# The binary interface of $soname, for machines"
    echo "# with 64-bit pointers. Written by \`make abi-update\`; \`make abi\` compares."
    printf '\n[exported]\n'
    cat "$work/symbols"
    printf '\n[types]\n'
    cat "$work/types"
    printf '\n[layout]\n'
    "$work/layout" | sed -E 's/^( +[^ ]+ at .*)$/\1;/' | nameless | sed 's/;$//'
} > "$work/abi"

if [ "$mode" = update ]; then
    cp "$work/abi" "$list"
    echo "$list: $(wc -l < "$work/symbols") functions"
elif diff -u --label "$list" --label "$library" "$list" "$work/abi" >&2; then
    echo "the binary interface equals $list: $(wc -l < "$work/symbols") functions"
else
    echo "the binary interface has changed. If intended, run make abi-update, and change the soname" >&2
    echo "unless the change only adds functions, or fields at the end of a struct with a size." >&2
    exit 1
fi
