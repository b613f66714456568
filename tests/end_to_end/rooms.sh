#!/bin/sh
# The table of rooms in docs/architecture.md is so: each folder of compiler code has a row, and includes headers only of the
# rooms that its row says it knows.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$root" || exit 1
awk -F'|' '/^\| `/ { gsub(/[` ,]+/, " ", $2); gsub(/[`,]/, "", $4); print $2 ":" $4; next } seen && !/^\|/ { exit } /^\| room/ { seen = 1 }' \
    docs/architecture.md >"$work/rooms"

known() { # known FOLDER: the rooms whose headers its files may include
    sed -n "s,^ *$1 *:,,p" "$work/rooms"
}

room() { # room FOLDER: what it includes of other rooms, beside what it knows
    [ -n "$(grep "^ *$1 *:" "$work/rooms")" ] || { echo "docs/architecture.md has no row for $1"; return 1; }
    wrong=0
    for place in $(cat "$1"/*.[chly] "$1"/*.def 2>/dev/null | sed -n 's,^#include "\(.*\)/[^/]*"$,\1,p' | sort -u); do
        case " $(known "$1") $1 " in
        *" $place "* | *" all "*) ;;
        *) echo "$1 includes headers of $place, which it does not know:"; grep -n "#include \"$place/[^/]*\"" "$1"/*; wrong=1 ;;
        esac
    done
    return $wrong
}

for folder in $(find ir frontend passes codegen runtime driver -name '*.c' | sed 's,/[^/]*$,,' | sort -u); do
    check "what $folder knows" room "$folder"
done
report
