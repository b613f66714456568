#!/bin/sh
# Installs what building nnc needs and this machine lacks: a C compiler, CMake, Ninja (or Make), flex, bison and the
# headers of zlib. Knows apt, dnf, pacman and brew. Says what it will install, and asks for the password (sudo) only
# when there is something to install and this is not root. `tools/setup.sh --check` only says what is missing.
#
# tools/demo.sh and tools/test.sh read this file with `.` and call setup_all. It leaves the PATH that finds brew's
# newer bison and flex on a Mac.
set -u

setup_say() { printf '%s\n' "$@"; } # one line for each argument
setup_has() { command -v "$1" >/dev/null 2>&1; }

# setup_at_least FOUND WANTED: compares dotted versions, two numbers deep.
setup_at_least() {
    found_major=${1%%.*} found_rest=${1#*.} wanted_major=${2%%.*} wanted_minor=${2#*.}
    found_minor=${found_rest%%.*}
    case $found_major$found_minor in *[!0-9]* | '') return 0 ;; esac # not a version: let the build say it
    [ "$found_major" -gt "$wanted_major" ] ||
        { [ "$found_major" -eq "$wanted_major" ] && [ "$found_minor" -ge "$wanted_minor" ]; }
}

# The last word of the first line that a program says about its version.
setup_version() { "$1" --version 2>/dev/null | sed -n '1s/.*[^0-9.]\([0-9][0-9.]*\).*/\1/p'; }

setup_compiler() {
    for compiler in "${CC:-cc}" gcc clang; do
        setup_has "$compiler" && { printf '%s' "$compiler"; return; }
    done
}

# The compiler is there, and finds this header.
setup_has_header() {
    compiler=$(setup_compiler)
    [ -n "$compiler" ] && printf '#include <%s>\n' "$1" | "$compiler" -E -x c - >/dev/null 2>&1
}

setup_is_missing() {
    case $1 in
        compiler) ! { [ -n "$(setup_compiler)" ] && setup_has_header stdio.h; } ;;
        cmake) ! setup_has cmake || ! setup_at_least "$(setup_version cmake)" 3.22 ;;
        ninja) ! setup_has ninja && ! setup_has make ;;
        flex) ! setup_has flex ;;
        bison) ! setup_has bison || ! setup_at_least "$(setup_version bison)" 3.6 ;;
        zlib) ! setup_has_header zlib.h ;;
        openmp) [ "$(uname -s)" = Darwin ] && ! [ -d "$(brew --prefix 2>/dev/null)/opt/libomp" ] ;;
    esac
}

setup_manager() {
    for manager in apt-get dnf pacman brew; do
        setup_has "$manager" && { printf '%s' "$manager"; return; }
    done
}

# The packages of a manager that hold a thing.
setup_packages() {
    case $1:$2 in
        apt-get:compiler) echo gcc libc6-dev ;;
        dnf:compiler) echo gcc glibc-devel ;;
        *:compiler) echo gcc ;;
        apt-get:ninja | dnf:ninja) echo ninja-build ;;
        apt-get:zlib) echo zlib1g-dev ;;
        dnf:zlib) echo zlib-devel ;;
        *:openmp) echo libomp ;;
        *) echo "$2" ;;
    esac
}

# The command that installs packages, for this manager.
setup_command() {
    case $1 in
        apt-get) echo "apt-get update && apt-get install -y --no-install-recommends $2" ;;
        dnf) echo "dnf install -y $2" ;;
        pacman) echo "pacman -Sy --needed --noconfirm $2" ;;
        brew) echo "brew install $2" ;;
    esac
}

# Runs the command as a user who may install, or says what somebody else has to run.
setup_install() {
    if [ "$1" = brew ] || [ "$(id -u)" -eq 0 ]; then
        DEBIAN_FRONTEND=noninteractive sh -c "$2"
        return
    fi
    if setup_has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        setup_say "Installing needs the rights of the administrator; sudo may ask for your password."
        sudo DEBIAN_FRONTEND=noninteractive sh -c "$2"
        return
    fi
    setup_say "This user may not install packages here. Run this as root, then try again:" "" "    $2" >&2
    return 1
}

# Newer tools that brew does not put on the PATH by itself.
setup_path() {
    if [ "$(uname -s)" = Darwin ] && setup_has brew; then
        prefix=$(brew --prefix)
        PATH=$prefix/opt/bison/bin:$prefix/opt/flex/bin:$PATH
        OpenMP_ROOT=$prefix/opt/libomp
        export PATH OpenMP_ROOT
    fi
}

setup_missing() {
    for thing in compiler cmake ninja flex bison zlib openmp; do
        setup_is_missing "$thing" && printf '%s ' "$thing"
    done
}

# setup_all [--check]: 0 when everything is here.
setup_all() {
    setup_path
    missing=$(setup_missing)
    [ -z "$missing" ] && return 0
    manager=$(setup_manager)
    if [ -z "$manager" ]; then
        setup_say "Missing: ${missing}and no apt, dnf, pacman or brew to install it with." \
            "Please install a C compiler, CMake 3.22 or newer, Ninja or Make, flex, bison 3.6 or" \
            "newer, and the headers of zlib. Then try again." >&2
        return 1
    fi
    packages=
    for thing in $missing; do
        packages="$packages${packages:+ }$(setup_packages "$manager" "$thing")"
    done
    command=$(setup_command "$manager" "$packages")
    setup_say "Missing: $missing" "Packages of ${manager%-get} to install: $packages"
    [ "${1:-}" = --check ] && return 1
    setup_install "$manager" "$command" || return 1
    setup_path
    missing=$(setup_missing)
    [ -z "$missing" ] && return 0
    setup_say "Still missing, or too old here: $missing" \
        "nnc needs CMake 3.22 or newer and bison 3.6 or newer." >&2
    return 1
}

# setup_build ROOT LOG [TARGET...]: configures ROOT/build where that was not done, and builds there. What the tools say
# goes to the terminal while they work, or to LOG alone where there is none; after a failure its end is shown.
setup_build() {
    root=$1 log=$2
    shift 2
    cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    if ! [ -f "$root/build/build.ninja" ] && ! [ -f "$root/build/Makefile" ]; then
        generator=
        setup_has ninja && generator="-G Ninja"
        # shellcheck disable=SC2086 # the generator is two words or none
        if ! cmake -S "$root" -B "$root/build" $generator >"$log" 2>&1; then
            tail -n 30 "$log" >&2
            return 1
        fi
    fi
    if [ -t 1 ] && [ -f "$root/build/build.ninja" ]; then
        cmake --build "$root/build" -j "$cores" ${1:+--target "$@"}
        return
    fi
    cmake --build "$root/build" -j "$cores" ${1:+--target "$@"} >"$log" 2>&1 && return
    tail -n 30 "$log" >&2
    return 1
}

case ${0##*/} in
    setup.sh) setup_all "$@" && setup_say "Everything that building nnc needs is here." ;;
esac
