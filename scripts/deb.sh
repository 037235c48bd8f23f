#!/usr/bin/env bash
# Builds Debian packages of what `make install` installs:
#
#     deb.sh VERSION    writes parley-tool, libparley0 and libparley-dev to .build-deb
#
# DEBFULLNAME and DEBEMAIL name the maintainer, as for other tools of Debian. The author of the last commit is
# the default.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: deb.sh VERSION}
folder=.build-deb
source=$folder/libparley-$version

fail() { echo "deb.sh: $*" >&2; exit 1; }

# last_commit FORMAT: nothing where the source is no clone.
last_commit() { git log -1 --format="$1" 2>/dev/null || true; }

name=${DEBFULLNAME:-$(last_commit %an)}
mail=${DEBEMAIL:-$(last_commit %ae)}
[[ -n $name && -n $mail ]] || fail "no commit names an author: set DEBFULLNAME and DEBEMAIL"
seconds=${SOURCE_DATE_EPOCH:-$(last_commit %ct)}

# The packages need the libraries of the system that builds them, so their version names it: 0.1.0-1~debian12.
# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "$ID${VERSION_ID:-}")
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unstable}")

rm -rf "$folder"
mkdir -p "$source"
cp -r debian "$source"
control=$(< debian/control)
echo "${control/@maintainer@/"$name <$mail>"}" > "$source/debian/control"
# The changelog is written here, so that the header alone defines the version.
cat > "$source/debian/changelog" <<CHANGES
libparley ($version-1~$system) $codename; urgency=medium

  * changelog.gz says what has changed.

 -- $name <$mail>  $(LC_ALL=C date -u -R -d "@${seconds:-$(date +%s)}")
CHANGES

(cd "$source" && dpkg-buildpackage -b -us -uc --no-pre-clean)
ls "$folder"/*.deb
