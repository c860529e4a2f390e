# make serve   build the page and serve it at http://127.0.0.1:8080
# make build   build the page into dist/
# make test    everything that CI checks
# make pictures  draw README's screenshots and tour anew, into docs/

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/neural-songwriter
# Outside the working tree: a second clone builds in seconds, and `git clean` costs nothing.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export TOOLS := $(CACHE)/tools
export PATH := $(TOOLS)/bin:$(HOME)/.cargo/bin:$(PATH)
# Trunk knows NO_COLOR only with the values true and false and stops at the usual 1.
unexport NO_COLOR

WASM := --target wasm32-unknown-unknown --lib --profile wasm-release

.NOTPARALLEL:
.PHONY: serve build test pictures tools fetch test-tools lint test-rust test-page

serve: fetch
	@echo "Building the page, then serving it at http://127.0.0.1:8080 (Ctrl-C ends it)."
	@echo "The first build takes about 15 minutes on two cores, the next ones less than one."
	@trunk serve

build: fetch
	@trunk build

test: lint test-rust test-page

lint: tools
	cargo fmt --check
	cargo clippy --release --features native --all-targets --locked -- -D warnings
	cargo clippy --release --features vulkan --locked -- -D warnings
	cargo clippy --release --lib --locked -- -D warnings
	cargo clippy $(WASM) --locked -- -D warnings

test-rust: tools
	cargo test --release --features native --locked

test-page: test-tools build
	cargo build --release --features native --locked --bin songwriter
	cd tests/page && SONGWRITER_BIN=$(CARGO_TARGET_DIR)/release/songwriter node --test --test-reporter=spec

# Needs cwebp and img2webp: on Debian, apt-get install webp.
pictures: test-tools build
	cd tests/page && node tour.js

tools:
	@sh scripts/tools.sh

# Trunk runs cargo offline (see Trunk.toml), so the crates have to be there before.
fetch: tools
	@cargo fetch --locked --quiet

test-tools:
	@sh scripts/test-tools.sh
