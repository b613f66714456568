#!/bin/sh
# Text and time series from the file to generated text and forecasts. Overlapping windows are never copied out of the data
# set, yet training on them is, to the bit of the predictions, training on a file that has them as rows.
. "$NNC_ROOT/tests/end_to_end/common.sh"
data=$root/examples/data
cd "$work" || exit 1
head -c 60000 "$data/tinyshakespeare.txt" >play.txt
tail -c 20000 "$data/tinyshakespeare.txt" | tr -d Z >other.txt # which the beginning does not have
compiled() { "$NNC" "$1.nn" -o "$1.c" && build "$1.c" "$1" -O2 -march=native -fopenmp; }
loss() { sed -n 's/^loss: //p' "$1"; }

# ---- text: a prediction at each position, and one after the window
cat >each.nn <<'END'
model each {
    Input(16)
    Reshape((16, 1))
    Dense(32, activation=relu)
    Dense(65)
}
data {
    train = text("play.txt", window=16, stride=4)
    validation_split = 0.1
    scale(1/65, offset=-0.5)
}
compile {
    loss      = sparse_categorical_crossentropy(from_logits=true)
    optimizer = Adam(0.01)
    metrics   = [accuracy]
}
fit { epochs = 2, batch_size = 64 }
END
cat >after.nn <<'END'
model after {
    Input(8)
    Dense(48, activation=relu)
    Dense(65, activation=softmax)
}
data {
    train = text("play.txt", stride=1)
    scale(1/65, offset=-0.5)
}
compile {
    loss      = sparse_categorical_crossentropy
    optimizer = Adam(0.003)
}
fit { epochs = 2, batch_size = 64 }
END
check "a model of every position" compiled each
check "a model of the next character" compiled after
learns() { # learns PROGRAM BOUND: after training, other text is predicted better than by the odds of letters
    "./$1" fit --verbose=0 && "./$1" evaluate --test=other.txt --verbose=0 >"$1.txt" && cat "$1.txt" && holds "$(loss "$1.txt") < $2"
}
check "every position learns" learns each 3.2
check "the next character learns" learns after 3.1
same_threads() {
    for threads in 1 2 3; do
        "./$1" fit --epochs=1 --verbose=0 --threads=$threads --weights="$1-$threads.safetensors" || return 1
    done
    same "$1"-?.safetensors
}
check "windows: the same bits for any number of threads" same_threads each
check "windows: the same bits for any number of threads, one target" same_threads after
goes_on() {
    ./after fit --epochs=1 --verbose=0 --weights=on.safetensors &&
        ./after fit --resume --epochs=2 --verbose=0 --weights=on.safetensors && same after.safetensors on.safetensors
}
check "fit --resume goes on to the same bits" goes_on
pieces() { # batches of 1 make other steps, but the same measurement
    ./after evaluate --test=other.txt --verbose=0 --batch-size=7 >seven.txt &&
        holds "($(loss seven.txt) - $(loss after.txt)) ^ 2 < 1e-10"
}
check "evaluate does not depend on batches" pieces

# ---- generate
text_of() { ./after generate --prompt=ROMEO: --length=60 "$@"; }
check "generate" text_of --seed=7
text_of --seed=7 >seven.txt
text_of --seed=7 >again.txt
text_of --seed=8 >eight.txt
text_of --temperature=0 --seed=1 >cold.txt
text_of --temperature=0 --seed=2 >cold-again.txt
differs() { ! cmp -s "$1" "$2"; }
check "the same seed gives the same text" same seven.txt again.txt
check "another seed gives another text" differs seven.txt eight.txt
check "temperature 0 needs no seed" same cold.txt cold-again.txt
check "the text has the prompt, 60 characters and a line break" [ "$(wc -c <seven.txt)" -eq 67 ]
begins() { [ "$(head -c 6 "$1")" = ROMEO: ]; }
check "it begins with the prompt" begins seven.txt
check "generate through nnc run" "$NNC" run after.nn generate --length=5 --prompt="long enough for a window" --weights=after.safetensors
run_is_same() { "$NNC" run after.nn generate --prompt=ROMEO: --length=60 --seed=7 --weights=after.safetensors >run.txt && same seven.txt run.txt; }
check "nnc run writes the same" run_is_same
closed() { # the reader goes away: the program ends, without a word, long before its million characters
    { ./after generate --length=1000000 2>closed.txt; echo $? >closed-status; } | head -c 10 >first.txt
    [ "$(wc -c <first.txt)" -eq 10 ] && ! [ -s closed.txt ] && [ "$(cat closed-status)" -ne 0 ]
}
check "a closed pipe ends generate quietly" closed
printf 'na\303\257ve \342\202\254\n%.0s' 1 2 3 4 5 6 7 8 9 >accents.txt
accents() {
    ./after fit --train=accents.txt --verbose=0 --epochs=60 --weights=accents.safetensors &&
        ./after generate --prompt="$(printf 'na\303\257')" --length=50 --weights=accents.safetensors >accented.txt &&
        iconv -f UTF-8 -t UTF-32LE accented.txt | wc -c | grep -qx 216
}
check "characters are code points, not bytes" accents

# ---- memory: 1.1 million windows of 64 as rows would be 280 MB
sed 's/Input(8)/Input(64)/; s/Dense(48, activation=relu)/Dense(2)/; s/model after/model wide/' after.nn >wide.nn
check "a model of long windows" compiled wide
little() { (ulimit -v 150000 && ./wide fit --train="$data/tinyshakespeare.txt" --epochs=1 --verbose=0 --threads=1); }
if [ -n "$NNC_CFLAGS" ]; then
    skip "memory of overlapping windows: sanitizers take more"
else
    check "overlapping windows take the memory of the text" little
fi

# ---- time series
awk 'BEGIN { print "t,p,label"; for (i = 0; i < 400; i++) printf "%.4f,%.4f,row %d\n", sin(i / 5), cos(i / 3) + i / 400, i }' >series.csv
awk -F, 'NR > 1 { t[NR] = $1; p[NR] = $2 }
    END { print "a,b,c,d,e,f,y"; for (i = 2; i + 4 <= NR; i++) print t[i] "," p[i] "," t[i + 1] "," p[i + 1] "," t[i + 2] "," p[i + 2] "," t[i + 4] }' series.csv >rows.csv
cat >windows.nn <<'END'
model m {
    Input((3, 2))
    Flatten()
    Dense(8, activation=tanh)
    Dense(1)
}
data {
    train = windows("series.csv", length=3, horizon=2, target=t, columns=[t, p])
    validation_split = 0.2
    scale(0.5)
}
compile { loss = mse, optimizer = Adam(0.01) }
fit { epochs = 3, batch_size = 16 }
END
sed 's/Input((3, 2))/Input(6)/; /Flatten/d; s/train = .*/train = csv("rows.csv", target=y)/' windows.nn >rows.nn
check "a model of windows" compiled windows
check "the same model of rows" compiled rows
fits_alike() {
    ./windows fit --verbose=2 --weights=windows.safetensors | grep -o '[a-z_]*loss: [0-9.]*' >windows.txt &&
        ./rows fit --verbose=2 --weights=rows.safetensors | grep -o '[a-z_]*loss: [0-9.]*' >rows.txt && same windows.txt rows.txt &&
        ./windows predict --input=series.csv --weights=windows.safetensors >forecast.csv &&
        ./rows predict --input=rows.csv --weights=rows.safetensors >rows-forecast.csv &&
        head -n "$(wc -l <rows-forecast.csv)" forecast.csv >common.csv && same common.csv rows-forecast.csv
}
check "windows are what rows would be" fits_alike
check "predict goes on to the end of the file" [ "$(wc -l <forecast.csv)" -eq 398 ]

# ---- the examples
forecasts() { # better than to say that a year is as the one before it, which is wrong by 25
    cd "$root/examples" && "$NNC" series-gru.nn -o "$work/gru.c" && build "$work/gru.c" "$work/gru" -O2 -march=native &&
        "$work/gru" fit --verbose=0 --weights="$work/gru.safetensors" &&
        "$work/gru" evaluate --verbose=0 --weights="$work/gru.safetensors" >"$work/gru.txt" && cat "$work/gru.txt" &&
        holds "$(sed -n 's/^mean_absolute_error: //p' "$work/gru.txt") < 19"
}
check "series-gru.nn forecasts" forecasts
writes() {
    cd "$root/examples" && "$NNC" shakespeare-lstm.nn -o "$work/lstm.c" && build "$work/lstm.c" "$work/lstm" -O2 -march=native &&
        "$work/lstm" fit --verbose=0 --train="$work/play.txt" --epochs=2 --weights="$work/lstm.safetensors" &&
        "$work/lstm" evaluate --verbose=0 --test="$work/other.txt" --weights="$work/lstm.safetensors" >"$work/lstm.txt" &&
        cat "$work/lstm.txt" && holds "$(loss "$work/lstm.txt") < 3.5" &&
        "$work/lstm" generate --prompt=ROMEO: --length=40 --weights="$work/lstm.safetensors"
}
check "shakespeare-lstm.nn learns" writes
cd "$work" || exit 1

# ---- wrong input: the whole messages are in wrong_sequence.txt; NNC_UPDATE_GOLDENS=1 writes them anew, for review
refuse() {
    { echo "\$ $*"; "$@" 2>&1 >/dev/null; echo "status $?"; } >>refused.txt
}
cp after.safetensors good.safetensors
: >empty.txt
printf abc >short.txt
printf 'caf\351 au lait' >latin.txt
printf 'one line\nna\303\257ve\n' >foreign.txt
awk 'BEGIN { for (i = 33; i < 127; i++) printf "%c", i }' >many.txt
printf 't,p\n1,2\n3,x\n5,6\n7,8\n9,10\n' >cell.csv
refuse ./after fit --train=missing.txt
refuse ./after fit --train=empty.txt
refuse ./after fit --train=short.txt
refuse ./after fit --train=latin.txt
refuse ./after fit --train=many.txt
refuse ./after evaluate --test=foreign.txt
refuse ./after evaluate
refuse ./after generate --prompt="na$(printf '\303\257')ve"
refuse ./after generate --temperature=warm
refuse ./after generate --lenght=10
refuse ./after generate --weights=missing.safetensors
refuse ./windows generate
refuse ./windows fit --train=cell.csv
refuse ./windows fit --train=rows.csv
head -n 4 series.csv >few.csv
refuse ./windows fit --train=few.csv
if [ -n "${NNC_UPDATE_GOLDENS:-}" ]; then cp refused.txt "$root/tests/end_to_end/wrong_sequence.txt"; fi
check "wrong input is told" diff "$root/tests/end_to_end/wrong_sequence.txt" refused.txt
check "and harms no weights" same after.safetensors good.safetensors
report
