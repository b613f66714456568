#!/bin/sh
# Wrong input, as users meet it: every mistake gives one message that says where and what to do, a status other than 0,
# and loses nothing: the weights that are there stay as they were. The whole messages are compared with wrong_input/NAME.txt;
# NNC_UPDATE_GOLDENS=1 in the environment writes those anew, for review.
. "$NNC_ROOT/tests/end_to_end/common.sh"
goldens=$root/tests/end_to_end/wrong_input
cd "$work" || exit 1
LC_ALL=C
export LC_ALL

# refuse NAME COMMAND...: the command fails and says what wrong_input/NAME.txt holds; the weights are as they were.
refuse() {
    name=$1
    shift
    "$@" >out.txt 2>err.txt
    got=$?
    {
        echo "\$ $*"
        # the size of the header of a weights file is no part of the message's promise
        sed 's/header needs [0-9]* bytes, there/header needs N bytes, there/; s/(byte [0-9]*)/(byte N)/' err.txt
        echo "status $got"
    } >"$name.txt"
    if [ -n "${NNC_UPDATE_GOLDENS:-}" ]; then cp "$name.txt" "$goldens/$name.txt"; fi
    check "$name" told
}
told() {
    diff "$goldens/$name.txt" "$name.txt" && [ $got -gt 0 ] && [ $got -lt 126 ] && unharmed
}
unharmed() {
    cmp m.safetensors good.safetensors && cmp p.safetensors good-p.safetensors && [ "$(cat old.csv)" = old ] &&
        ! ls ./*.safetensors.[0-9]* 2>/dev/null
}
nnc() { "$NNC" "$@"; }
compiled() { nnc --cpu=generic "$1.nn" -o "$1.c" && build "$1.c" "$1" -O1; }
piped() { words=$1; shift; printf "$words" | "$@"; }
# A disk with no room left, as a limit on the size of files.
limited() {
    { (ulimit -f 0; "$@" 2>&1 >/dev/null; echo "ended with $?") | cat; } >limited.txt
    grep -v '^ended with' limited.txt >&2
    ! grep -qv '^ended with 0' limited.txt
}
zeros() { dd if=/dev/zero bs="$1" count=1 2>/dev/null; }

# ---- two trainers: numbers from CSV, pictures from IDX
cat >m.nn <<'END'
model m {
    Input(2)
    Dense(4, activation=relu)
    Dense(3, activation=softmax)
}
data {
    train = csv("train.csv", target="y")
    test = csv("test.csv", target="y")
    standardize()
}
compile {
    loss = sparse_categorical_crossentropy
    optimizer = Adam()
    metrics = [accuracy]
}
fit {
    epochs = 1
    batch_size = 8
}
END
sed 's/model m/model wide/; s/Dense(4/Dense(5/' m.nn >wide.nn
sed 's/epochs = 1/epochs = 1\n    callbacks = [CSVLogger("no-folder\/log.csv")]/' m.nn >logger.nn
sed 's/epochs = 1/epochs = 1\n    callbacks = [ModelCheckpoint("train.csv\/best.safetensors")]/' m.nn >checkpoint.nn
cat >p.nn <<'END'
model p {
    Input((2, 2, 1))
    Flatten()
    Dense(3, activation=softmax)
}
data {
    train = idx("pictures", "labels")
    scale(1 / 255)
}
compile { loss = sparse_categorical_crossentropy }
fit { epochs = 1 }
END
rows() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print i % 7 "," i % 5 ".5," i % 3 }'; }
table() { echo a,b,y && rows 5 && cat; }
{ echo a,b,y && rows 40; } >train.csv
{ echo a,b,y && rows 9; } >test.csv
echo old >old.csv
picture_header() { printf "\\000\\000\\010\\003\\000\\000\\000\\003\\000\\000\\000\\00$1\\000\\000\\000\\00$2"; }
labels() { printf '\000\000\010\001\000\000\000\003' && printf "$1"; }
{ picture_header 2 2 && zeros 12; } >pictures
labels '\000\001\002' >labels
for program in m wide logger checkpoint p; do check "$program is built" compiled $program; done
check "m learns" ./m fit --verbose=0
check "p learns" ./p fit --verbose=0
check "wide learns" ./wide fit --verbose=0
cp m.safetensors good.safetensors
cp p.safetensors good-p.safetensors

# ---- CSV
{ table && echo 1,2; } </dev/null >ragged.csv
refuse csv-ragged ./m fit --train=ragged.csv
echo 1,2,0,4 | table >long-row.csv
refuse csv-long-row ./m fit --train=long-row.csv
echo '1,two,0' | table >text.csv
refuse csv-text ./m fit --train=text.csv
echo '1,nan,0' | table >nan.csv
refuse csv-nan ./m fit --train=nan.csv
echo '1,,0' | table >empty-cell.csv
refuse csv-empty-cell ./m fit --train=empty-cell.csv
echo '1,1e99,0' | table >huge.csv
refuse csv-huge-number ./m fit --train=huge.csv
echo 1,2,3 | table >class.csv
refuse csv-class ./m fit --train=class.csv
echo 1,2,1.5 | table >fraction.csv
refuse csv-class-fraction ./m fit --train=fraction.csv
echo 1,2,-1 | table >negative.csv
refuse csv-class-negative ./m fit --train=negative.csv
echo '1,"2,0' | table >quote.csv
refuse csv-quote ./m fit --train=quote.csv
: >empty.csv
refuse csv-empty-file ./m fit --train=empty.csv
echo a,b,y >header.csv
refuse csv-header-only ./m fit --train=header.csv
printf 'a,y\n1,2\n' >narrow.csv
refuse csv-few-columns ./m fit --train=narrow.csv
printf 'a,b,c,y\n1,2,3,1\n' >broad.csv
refuse csv-many-columns ./m fit --train=broad.csv
printf 'a,b,z\n1,2,3\n' >no-target.csv
refuse csv-no-target ./m fit --train=no-target.csv
refuse csv-missing ./m fit --train=missing.csv
refuse csv-folder ./m fit --train=.
refuse csv-validation ./m fit --validation=text.csv
refuse csv-test ./m evaluate --test=class.csv
refuse predict-missing ./m predict --input=missing.csv
refuse predict-text piped 'a,b\n1,2\n3,x\n' ./m predict --input=-
refuse predict-columns piped 'a,c\n1,2\n' ./m predict --input=-
refuse predict-no-names piped '1,2,3,4\n' ./m predict --input=-
refuse predict-nothing piped '' ./m predict --input=-

# ---- IDX
{ picture_header 2 3 && zeros 18; } >other-size
refuse idx-other-size ./p fit --train=other-size
{ picture_header 2 2 && zeros 7; } >cut
refuse idx-cut ./p fit --train=cut
printf '\000\000\010' >stub
refuse idx-stub ./p fit --train=stub
labels '\000\001' >cut-labels
refuse idx-labels-cut ./p fit --train-target=cut-labels
printf '\000\000\010\001\000\000\000\002\000\001' >two-labels
refuse idx-labels-fewer ./p fit --train-target=two-labels
labels '\000\001\007' >wrong-labels
refuse idx-class ./p fit --train-target=wrong-labels
cp train.csv foreign
refuse idx-foreign ./p fit --train=foreign
if command -v gzip >/dev/null && [ -n "$NNC_LIBRARIES" ]; then
    gzip -nc pictures | head -c 20 >cut.gz
    refuse idx-gzip-cut ./p fit --train=cut.gz
else
    skip "gzip files: no gzip or no zlib"
fi

# ---- weights
refuse weights-missing ./m evaluate --weights=none.safetensors
refuse weights-resume-missing ./m fit --resume --weights=none.safetensors
head -c 300 good.safetensors >cut-header.safetensors
refuse weights-cut-header ./m evaluate --weights=cut-header.safetensors
bytes=$(($(wc -c <good.safetensors) - 4))
head -c $bytes good.safetensors >cut-data.safetensors
refuse weights-cut-data ./m evaluate --weights=cut-data.safetensors
: >nothing.safetensors
refuse weights-empty ./m evaluate --weights=nothing.safetensors
refuse weights-foreign-file ./m evaluate --weights=train.csv
refuse weights-other-model ./m evaluate --weights=wide.safetensors
refuse weights-other-initial ./m fit --initial-weights=wide.safetensors
refuse weights-other-resume ./m fit --resume --weights=wide.safetensors

# ---- places that cannot be written
refuse output-no-folder ./m fit --weights=no-folder/m.safetensors
refuse output-is-folder ./m fit --weights=.
refuse predict-no-folder ./m predict --output=no-folder/out.csv
refuse logger-no-folder ./logger fit --weights=l.safetensors
refuse checkpoint-folder-is-file ./checkpoint fit --weights=c.safetensors
refuse output-limit limited ./m fit --epochs=1
refuse predict-limit limited ./m predict --output=old.csv
if [ -w /dev/full ]; then
    refuse output-full ./m init --weights=/dev/full
    refuse predict-full ./m predict --output=/dev/full
    standard_output_full() { ./m predict >/dev/full; }
    refuse predict-standard-output-full standard_output_full
else
    skip "a full disk: there is no /dev/full"
fi
mkdir locked && cp good.safetensors locked/m.safetensors && chmod 555 locked
if [ "$(id -u)" -ne 0 ]; then
    refuse output-locked ./m fit --weights=locked/m.safetensors
else
    skip "a folder that may not be written: root may write everywhere"
fi
chmod 755 locked

# ---- columns of classes, other separators, no names
sed 's/model m/model classes/; s/Input(2)/Input(6)/; s/standardize()/one_hot(1, classes=5)/' m.nn >classes.nn
check "classes is built" compiled classes
awk -F, 'NR > 1 { $2 = int($2) } { print $1 "," $2 "," $3 }' train.csv >whole.csv
check "classes learns" ./classes fit --verbose=0 --train=whole.csv
{ cat whole.csv && echo 1,5,0; } >outside.csv
refuse one-hot-outside ./classes fit --train=outside.csv
refuse one-hot-fraction ./classes fit --train=train.csv
printf '2,-1\n' >below.csv
refuse one-hot-predict ./classes predict --input=below.csv
sed 's/,/;/g' train.csv >semicolons.csv
refuse csv-semicolons ./m fit --train=semicolons.csv
sed 's/,/\t/g' train.csv >tabs.csv
refuse csv-tabs ./m fit --train=tabs.csv
refuse option-two-validations ./m fit --validation=test.csv --validation-split=0.1
by_position() { printf '1,2.5\n3,0.5\n' | ./m predict --input=- >bare.txt && printf 'b,a\n2.5,1\n0.5,3\n' | ./m predict --input=- | cmp - bare.txt; }
check "predict without names takes exactly the inputs" by_position

# ---- command lines of a trainer
refuse option-unknown ./m fit --bogus
refuse option-near ./m fit --epoch=3
refuse option-other-verb ./m predict --epochs=3
refuse option-no-number ./m fit --epochs=abc
refuse option-fraction ./m fit --epochs=1.5
refuse option-below ./m fit --batch-size=0
refuse option-above ./m fit --batch-size=1000
refuse option-huge ./m fit --epochs=99999999999999999999
refuse option-no-value ./m fit --epochs
refuse option-empty ./m fit --weights=
refuse option-no-truth ./m fit --shuffle=maybe
refuse option-split ./m fit --validation-split=1.5
refuse option-threads ./m fit --threads=none
refuse verb-none ./m
refuse verb-unknown ./m evalute
refuse verb-two ./m fit fit

# ---- programs that are none
refuse program-missing nnc missing.nn
mkdir programs && cp m.nn programs
refuse program-folder nnc programs
[ -c /dev/zero ] && refuse program-endless nnc /dev/zero
refuse program-near nnc wid.nn
: >empty.nn
refuse program-empty nnc empty.nn
{ head -c 20 m.nn && zeros 3; } >binary.nn
refuse program-binary nnc binary.nn
zeros 1000000 | tr '\000' '(' >parentheses.nn
refuse program-parentheses nnc parentheses.nn
{ echo 'model m {' && cat parentheses.nn && echo '}'; } >inside.nn
refuse program-parentheses-inside nnc inside.nn
{ echo 'model m {' && zeros 100000 | sed 's/\x00/Residual { /g'; } >nested.nn
refuse program-nested nnc nested.nn
zeros 1000000 | tr '\000' '\n' >lines.nn
refuse program-lines nnc lines.nn
refuse program-no-folder nnc m.nn -o no-folder/m.c
refuse program-run-weights nnc run m.nn evaluate --weights=none.safetensors
refuse program-run-data nnc run m.nn fit --train=text.csv --weights=other.safetensors
report
