#!/usr/bin/env bash
# Lines end at 110 columns: fails, and names each longer line as file:line. Columns are characters, not bytes.
# URLs do not count, since they cannot be broken; nor do the rows of Markdown tables.
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files -z --cached --others --exclude-standard -- \
    '*.swift' '*.h' '*.c' '*.md' '*.sh' '*.mk' '*Makefile' .ci/run \
    | xargs -0 perl -CSD -ne '
        chomp;
        my $is_row = $ARGV =~ /\.md$/ && /^\s*\|/;
        my $columns = length(s{[a-z]+://[^\s)>"]*}{}gr);
        if ($columns > 110 && !$is_row) { print "$ARGV:$.: $columns columns\n"; $fail = 1 }
        close ARGV if eof;
        END { $? = $fail // 0 }
    ' >&2 || { echo "these lines are longer than 110 columns" >&2; exit 1; }
echo "no line is longer than 110 columns"
