# The C library. `make lib` builds it in .build-lib/lib, `make install` copies it from there.

CC ?= cc
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
# Debian and its derivatives may need LIBDIR=/usr/lib/x86_64-linux-gnu.
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DESTDIR ?=
INSTALL ?= install

HEADER := Sources/CParley/include/parley.h
# The version is defined in the header's macros alone.
VERSION := $(shell \
  awk '/^\#define PARLEY_VERSION_(MAJOR|MINOR|PATCH) / { printf "%s%s", dot, $$3; dot = "." }' \
  $(HEADER))
SONAME := libparley.so.$(firstword $(subst ., ,$(VERSION)))
LIB := .build-lib/lib

# Every function of the manual page, for links such as parley_dial.3.
FUNCTIONS = $(shell sed -n 's/^\.It Fn \(parley_[a-z_]*\).*/\1/p' man/parley.3)

# Where shells look for completions.
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d

.PHONY: deps-c deps-man deps-deb lib size abi abi-update install uninstall deb
.PHONY: examples consumers man check-deb

deps-c: deps
	@for tool in $(firstword $(CC)) ld objcopy; do command -v $$tool >/dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "a C compiler is missing: installing build-essential with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq build-essential; \
	else echo "please install a C compiler and binutils" >&2; exit 1; fi

deps-man:
	@if command -v mandoc >/dev/null && command -v groff >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "mandoc or groff not found: installing both with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq mandoc groff; \
	else echo "please install mandoc and groff" >&2; exit 1; fi

deps-deb: deps-c
	@for tool in dpkg-buildpackage dh lintian; do command -v $$tool >/dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "dpkg-dev, debhelper or lintian not found: installing them with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq dpkg-dev debhelper lintian; \
	else echo "packages are built on Debian only" >&2; exit 1; fi

# --- Building and installing ---------------------------------------------------------------------------

lib: deps-c $(LIB)/libparley.a $(LIB)/parley.pc size ## Builds the C library; it needs no Swift runtime

# The targets are files, so that `sudo make install` after `make lib` compiles nothing and needs no Swift.
$(LIB)/libparley.a: scripts/library.sh Package.swift $(shell find Sources CLibUV CSodium -type f)
	SWIFT="$(SWIFT)" CC="$(CC)" scripts/library.sh $(VERSION) $(LIB)

# parley.pc names folders relative to its prefix, so that the whole tree can be moved.
pc = sed -e 's|@prefix@|$(PREFIX)|' -e 's|@version@|$(VERSION)|' \
  -e 's|@libdir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
  -e 's|@includedir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
  -e 's|@datadir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(DATADIR))|' Sources/CParley/parley.pc.in

$(LIB)/parley.pc: Sources/CParley/parley.pc.in $(LIB)/libparley.a
	@$(pc) > $@

size: $(LIB)/libparley.a ## Prints the sizes of the stripped library and tool
	@printf '%s bytes  %s\n' "$$(wc -c < $(LIB)/libparley.so.$(VERSION))" libparley.so.$(VERSION) \
	  "$$(wc -c < $(LIB)/parley)" "parley, the tool"

install: $(LIB)/libparley.a ## Installs library, header, manuals and tool into DESTDIR, PREFIX (/usr/local)
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" \
	  "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man3" "$(DESTDIR)$(DATADIR)/parley" \
	  "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)"
	$(INSTALL) -m 755 $(LIB)/parley "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 644 $(HEADER) "$(DESTDIR)$(INCLUDEDIR)"
	$(INSTALL) -m 755 $(LIB)/libparley.so.$(VERSION) "$(DESTDIR)$(LIBDIR)"
	ln -sf libparley.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libparley.so"
	$(INSTALL) -m 644 $(LIB)/libparley.a "$(DESTDIR)$(LIBDIR)"
	@$(pc) > "$(DESTDIR)$(LIBDIR)/pkgconfig/parley.pc" && chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/parley.pc"
	$(INSTALL) -m 644 Sources/CParley/valgrind.supp "$(DESTDIR)$(DATADIR)/parley"
	$(INSTALL) -m 644 man/parley.1 "$(DESTDIR)$(MANDIR)/man1"
	$(INSTALL) -m 644 man/parley.3 "$(DESTDIR)$(MANDIR)/man3"
	$(INSTALL) -m 644 $(LIB)/completions/bash "$(DESTDIR)$(BASHDIR)/parley"
	$(INSTALL) -m 644 $(LIB)/completions/zsh "$(DESTDIR)$(ZSHDIR)/_parley"
	$(INSTALL) -m 644 $(LIB)/completions/fish "$(DESTDIR)$(FISHDIR)/parley.fish"
	@for function in $(FUNCTIONS); do ln -sf parley.3 "$(DESTDIR)$(MANDIR)/man3/$$function.3"; done
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall: ## Removes what `make install` with the same variables installed
	rm -f "$(DESTDIR)$(BINDIR)/parley" "$(DESTDIR)$(INCLUDEDIR)/parley.h" \
	  "$(DESTDIR)$(LIBDIR)"/libparley.so "$(DESTDIR)$(LIBDIR)"/$(SONAME) "$(DESTDIR)$(LIBDIR)"/$(SONAME).* \
	  "$(DESTDIR)$(LIBDIR)/libparley.a" "$(DESTDIR)$(LIBDIR)/pkgconfig/parley.pc" \
	  "$(DESTDIR)$(MANDIR)/man1/parley.1" "$(DESTDIR)$(MANDIR)/man3/parley.3" \
	  "$(DESTDIR)$(DATADIR)/parley/valgrind.supp" "$(DESTDIR)$(BASHDIR)/parley" \
	  "$(DESTDIR)$(ZSHDIR)/_parley" "$(DESTDIR)$(FISHDIR)/parley.fish"
	@rmdir "$(DESTDIR)$(DATADIR)/parley" 2>/dev/null || true
	@for function in $(FUNCTIONS); do rm -f "$(DESTDIR)$(MANDIR)/man3/$$function.3"; done
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

deb: deps-deb $(LIB)/libparley.a ## Builds Debian packages of tool and library, .build-deb/*.deb
	scripts/deb.sh $(VERSION)

# --- Checks --------------------------------------------------------------------------------------------

abi: $(LIB)/libparley.a ## Fails when symbols, prototypes or layouts of the library differ from parley.abi
	scripts/abi.sh check $(LIB)/libparley.so

abi-update: $(LIB)/libparley.a ## Writes Sources/CParley/parley.abi, after an intended change
	scripts/abi.sh update $(LIB)/libparley.so

examples: deps-c lib ## Builds the programs in Examples/c with a staged install, and runs them without Swift
	CC="$(CC)" scripts/c-examples.sh
	CC="$(CC)" scripts/without-swift.sh

consumers: deps ## Builds packages that depend on Parley by path and by URL
	scripts/consumers.sh

man: deps-man $(LIB)/libparley.a ## Checks the man pages' form, and that they name every function and option
	scripts/check-man.sh $(LIB)/parley

check-deb: deb ## Checks the Debian packages: lintian, their files, and that tool and library work
	CC="$(CC)" scripts/check-deb.sh
