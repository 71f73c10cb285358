# What ./run and ./check share: words, packages, building. Sourced by bash, from the top of the tree.

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' plain=$'\e[0m'
else
  bold='' plain=''
fi

# A headline of what happens now.
say () {
  printf '%s%s%s\n' "$bold" "$*" "$plain" >&2
}

die () {
  printf '%s\n' "$*" >&2
  exit 1
}

# Prints the packages of the given groups in data/packages.txt, one a line.
packages_of () {
  local group
  for group in "$@"; do
    sed -n "s/^$group: *//p" data/packages.txt | tr -s ' ' '\n'
  done
}

# Prints those of its arguments that are not installed.
missing_packages () {
  # "ii ": wanted and installed; everything else needs apt-get.
  dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null |
    awk '$1 == "ii" { print $2 }' | sort -u |
    comm -13 - <(printf '%s\n' "$@" | sort -u)
}

# Runs a bash script with what it takes to be root; asks for a password at most once.
as_root () {
  if [ "$(id -u)" = 0 ]; then
    bash -c "$1"
  elif command -v sudo >/dev/null &&
       { id -nG | grep -qwE 'sudo|admin|wheel' || ! command -v su >/dev/null ||
         sudo -n true 2>/dev/null; }; then
    sudo bash -c "$1"
  elif command -v pkexec >/dev/null && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    pkexec bash -c "$1"
  elif command -v su >/dev/null; then
    say 'The password of root is needed to install packages.'
    su -s /bin/bash -c "$1"
  else
    die 'Packages must be installed, and neither sudo nor su is here. Run this once as root.'
  fi
}

# Installs what is missing of the given groups; nothing and at once when all is there.
install_packages () {
  local -a wanted missing
  local script status=0

  mapfile -t wanted < <(packages_of "$@")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v meson >/dev/null ||
      die "This is not Debian or Ubuntu: please install what corresponds to: ${wanted[*]}"
    return 0
  fi
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing ${#missing[@]} packages: ${missing[*]}"
  # A fresh machine has no lists, an old one stale lists: then the first try fails and is repeated.
  # 100: apt-get failed; anything else but 0: there was no leave to run it.
  script="export DEBIAN_FRONTEND=noninteractive
    apt () { apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \"\$@\" || exit 100; }
    install () (apt install -y --no-install-recommends $(printf '%q ' "${missing[@]}"))
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 && install && exit
    (apt update) || echo 'Not all package lists could be read; going on with those there.'
    install"
  as_root "$script" >&2 || status=$?
  case $status in
    0) ;;
    100) die 'The packages could not be installed. Is there a network? The messages above say more.' ;;
    *)
      die "Nothing was installed, because the password was not given. Run this again, or install them
yourself: apt-get install ${missing[*]}"
      ;;
  esac
}

# configure FOLDER OPTION...: sets a build folder up unless it is. One that another version of meson,
# or an interrupted run, left behind is made anew.
configure () {
  local folder=$1
  shift
  if [ -f "$folder/build.ninja" ] && [ -f "$folder/.configured" ] &&
     [ "$(cat "$folder/.configured")" = "$*" ]; then
    return 0
  fi
  say "Configuring $folder"
  rm -rf "$folder"
  meson setup "$folder" "$@" >"$folder.log" 2>&1 || {
    tail -n 30 "$folder.log" >&2
    die "Configuring failed; the whole output is in $folder.log"
  }
  rm -f "$folder.log"
  printf '%s' "$*" >"$folder/.configured"
}

# build FOLDER [TARGET...]: compiles what changed; silent when nothing did.
build () {
  local folder=$1
  shift
  if ninja -C "$folder" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
    return 0
  fi
  say "Building in $folder"
  if [ -t 2 ]; then
    ninja -C "$folder" "$@" >&2
  else
    ninja -C "$folder" --quiet "$@" >"$folder/build.log" 2>&1 || {
      tail -n 60 "$folder/build.log" >&2
      false
    }
  fi || die "Building failed; the messages above say where."
}

# TRUE when a folder holds a model.
has_model () {
  local file
  for file in "$1"/*.gguf "$1"/*.safetensors; do
    [ -s "$file" ] && return 0
  done
  return 1
}
