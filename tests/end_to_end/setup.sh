#!/bin/sh
# tools/setup.sh on machines that lack things, played by a PATH of few programs and false package managers: it installs
# what is missing and nothing else, asks for rights only when it must, and says what to do when it cannot.
. "$NNC_ROOT/tests/end_to_end/common.sh"
setup=$root/tools/setup.sh
sh=$(command -v sh)

# machine USER PROGRAM...: a PATH with these programs and what the script itself needs.
machine() {
    user=$1
    shift
    rm -rf "$work/bin"
    mkdir -p "$work/bin"
    for program in sh sed cat grep env "$@"; do
        real=$(command -v "$program") && ln -s "$real" "$work/bin/$program"
    done
    printf '#!%s\necho %s\n' "$sh" "$user" >"$work/bin/id"
    printf '#!%s\necho Linux\n' "$sh" >"$work/bin/uname"
    chmod +x "$work/bin/id" "$work/bin/uname"
    : >"$work/calls"
}

# manager NAME: it writes down how it is called, and flex and bison are there after an install.
manager() {
    {
        echo "#!$sh"
        echo "echo $1 \"\$@\" >>'$work/calls'"
        for program in flex bison; do
            echo "[ \"\$1\" = update ] || ln -sf '$(command -v $program)' '$work/bin/$program'"
        done
    } >"$work/bin/$1"
    sed -i.old "s|ln |$(command -v ln) |" "$work/bin/$1"
    chmod +x "$work/bin/$1"
}

# A sudo that works without a password, and writes down that it was used.
allow_sudo() {
    printf '#!%s\necho sudo >>"%s"\nexec env "$@"\n' "$sh" "$work/calls" >"$work/bin/sudo"
    sed -i.old 's|exec env "$@"|[ "$1" = -n ] \&\& shift; exec env "$@"|' "$work/bin/sudo"
    printf '#!%s\nexit 0\n' "$sh" >"$work/bin/true"
    chmod +x "$work/bin/sudo" "$work/bin/true"
}

run_setup() {
    PATH=$work/bin "$sh" "$setup" "$@" </dev/null >"$work/out" 2>&1
    code=$?
}
expect() { # expect STATUS TEXT: of the last run
    cat "$work/out"
    [ "$code" -eq "$1" ] && grep -qF -- "$2" "$work/out"
}
called() { grep -qxF -- "$1" "$work/calls"; }
not_called() { ! [ -s "$work/calls" ]; }

everything="cc gcc cmake ninja flex bison as ld"
without="cc gcc cmake ninja as ld"

# shellcheck disable=SC2086 # lists of words
{
    machine 1000 $everything
    manager apt-get
    run_setup
    check "nothing is missing" expect 0 "is here"
    check "then nothing is installed" not_called

    machine 0 $without
    manager apt-get
    run_setup --check
    check "--check only tells" expect 1 "Packages of apt to install: flex bison"
    check "and installs nothing" not_called
    run_setup
    check "root installs" expect 0 "is here"
    check "what is missing, no more" called "apt-get install -y --no-install-recommends flex bison"

    machine 1000 $without
    manager apt-get
    run_setup
    check "without rights the command is told" expect 1 "apt-get install -y --no-install-recommends flex bison"
    check "and not run" not_called
    allow_sudo
    run_setup
    check "sudo is used" expect 0 "is here"
    check "for the installation" called sudo

    machine 0 $without
    manager dnf
    run_setup
    check "dnf" called "dnf install -y flex bison"
    machine 0 $without
    manager pacman
    run_setup
    check "pacman" called "pacman -Sy --needed --noconfirm flex bison"
    machine 1000 $without
    manager brew
    run_setup
    check "brew, which needs no rights" called "brew install flex bison"

    machine 0
    manager dnf
    run_setup --check
    check "names of packages" expect 1 "gcc glibc-devel cmake ninja-build flex bison zlib-devel"
    machine 0 $without
    run_setup
    check "no package manager" expect 1 "Please install a C compiler"
}
report
