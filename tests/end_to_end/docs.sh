#!/bin/sh
# What the pages say is so: their links lead somewhere, the programs they show compile, and the options they name exist.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples

links() { # links FOLDER PAGE
    for link in $(grep -o ']([^)#]*' "$root/$1/$2" | cut -c3- | grep -v '^http'); do
        [ -e "$root/$1/$link" ] || { echo "$2: no $link"; return 1; }
    done
}

program() { # program PAGE: its first block that is a whole program
    awk '/^```/ { if (inside && text ~ /model digits/) { printf "%s", text; exit }
                  inside = !inside; text = ""; next }
         inside { text = text $0 "\n" }' "$root/$1" >"$work/page.nn"
    "$NNC" "$work/page.nn" -o "$work/page.c"
}

options() { # options PAGE HELP: --names of the page that the help does not know
    for option in $(grep -o '`[^`]*`' "$root/$1" | grep -o -e '--[a-z][a-z-]*' | sort -u); do
        grep -q -e "$option" "$2" || { echo "$1: there is no $option"; return 1; }
    done
}

for page in "$root"/*.md "$root"/docs/*.md "$root"/bench/*.md; do
    folder=${page%/*} folder=${folder#"$root"}
    check "links of ${page#"$root"/}" links "./$folder" "${page##*/}"
done
check "the program of README.md" program README.md
check "the program of docs/language.md" program docs/language.md
"$NNC" digits.nn -o "$work/digits.c" && build "$work/digits.c" "$work/digits" -O1 -march=native && "$work/digits" --help >"$work/help"
"$NNC" shakespeare-lstm.nn -o "$work/text.c" && build "$work/text.c" "$work/text" -O1 -march=native && "$work/text" generate --help >>"$work/help"
"$NNC" --help >>"$work/help"
printf '%s\n' --rows --cores --rounds --seconds --check --peers-only --build --install --prefix --cflags --libs --test-dir --rerun-failed >>"$work/help" # of other programs
for page in README.md docs/trainer.md docs/language.md docs/library.md docs/extending.md; do
    check "options of $page" options "$page" "$work/help"
done
report
