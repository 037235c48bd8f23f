#!/usr/bin/env bash
# Builds the documentation of all libraries as one static site. A warning is an error.
#
# The site is .build-docs/site. Any file server shows it, for example
# `python3 -m http.server --directory .build-docs/site`.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
build=.build-docs
docc=$(command -v docc || xcrun --find docc)
rm -rf "$build" && mkdir -p "$build"

# The modules that programs import. Parley is the first: the others link to its pages.
modules=$(cd Sources && printf '%s\n' Parley* | grep -vE '^Parley(ABI|CLI)?$')
modules="Parley $modules"
for module in $modules; do $swift build --target "$module" > "$build/build.log" 2>&1 \
    || { cat "$build/build.log" >&2; exit 1; }; done
binaries=$($swift build --show-bin-path)
target=$($swift -print-target-info | sed -n 's/.*"triple" *: *"\([^"]*\)".*/\1/p' | head -n 1)
includes=(-I "$binaries/Modules" -I CLibUV)
for folder in CSodium; do [ ! -d "$folder" ] || includes+=(-I "$folder"); done
# shellcheck disable=SC2207
includes+=($(pkg-config --cflags-only-I libuv))

dependencies=()
for module in $modules; do
    symbols=$build/symbols/$module
    archive=$build/$module.doccarchive
    mkdir -p "$symbols"
    $swift symbolgraph-extract -module-name "$module" -target "$target" "${includes[@]}" \
        -minimum-access-level public -emit-extension-block-symbols -skip-inherited-docs \
        -output-dir "$symbols"
    # Links to types of Parley are written as in Parley itself; docc wants the module's name before them.
    python3 - "$build/symbols/Parley/Parley.symbols.json" "$module" "$symbols"/*.json <<'PYTHON'
import json, re, sys
parley, module, *graphs = sys.argv[1:]
def types(path):
    return {symbol["pathComponents"][0] for symbol in json.load(open(path))["symbols"]}
for path in graphs if module != "Parley" else []:
    own = types(next(graph for graph in graphs if graph.endswith(f"/{module}.symbols.json")))
    others = "|".join(sorted(types(parley) - own))
    text = open(path).read()
    open(path, "w").write(re.sub(rf"``({others})(?=``|\\?/)", r"``/Parley/\1", text))
PYTHON
    catalog=()
    [ ! -d "Sources/$module/$module.docc" ] || catalog=("Sources/$module/$module.docc")
    "$docc" convert "${catalog[@]}" --additional-symbol-graph-dir "$symbols" \
        --fallback-display-name "$module" --fallback-bundle-identifier "$module" \
        --fallback-default-module-kind Library --enable-experimental-external-link-support \
        "${dependencies[@]}" --warnings-as-errors --output-path "$archive"
    dependencies+=(--dependency "$archive")
done
# shellcheck disable=SC2046
"$docc" merge $(printf "$build/%s.doccarchive " $modules) --output-path "$build/site" \
    --synthesized-landing-page-name Parley --synthesized-landing-page-kind Package
cat > "$build/site/index.html" <<'HTML'
<!doctype html>
<meta charset="utf-8">
<title>Parley</title>
<meta http-equiv="refresh" content="0; url=documentation/">
<a href="documentation/">The documentation of Parley</a>
HTML

# Each module has a page, and each page that is linked to is there.
for module in $modules; do
    page=$build/site/documentation/$(printf '%s' "$module" | tr '[:upper:]' '[:lower:]')
    [ -s "$page/index.html" ] || { echo "$module has no page in $build/site" >&2; exit 1; }
done
python3 scripts/snippets.py "$binaries" "$target"
pages=$(find "$build/site/documentation" -name index.html | wc -l)
echo "the documentation has $((pages)) pages, no warning: $build/site"
