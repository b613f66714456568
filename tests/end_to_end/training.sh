#!/bin/sh
# Small programs with everything that training has: they learn, and they give the same bits again, with any number of
# threads, without the memory plan, after an interruption, and under the sanitizers.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1

# rows COUNT SEED: three classes around three points, with a column of weights.
rows() {
    awk -v count="$1" -v seed="$2" 'BEGIN {
        srand(seed); print "a,b,c,d,class,weight"
        for (i = 0; i < count; i++) {
            k = int(3 * rand())
            for (j = 0; j < 4; j++) printf "%.4f,", 10 * j + (k == j % 3 ? 3 : 0) + rand() + rand() - rand()
            printf "%d,%.2f\n", k, 0.5 + rand()
        }
    }'
}
rows 301 1 >train.csv # a last batch that is not full
rows 100 2 >test.csv
cut -d, -f1-4 test.csv >inputs.csv
for part in train test; do cut -d, -f1-5 $part.csv >plain-$part.csv; done

cat >plain.nn <<'END'
model plain {
    Input(4)
    Dense(24, activation=relu)
    Dense(3, activation=softmax)
}
data {
    train = csv("plain-train.csv", target="class")
    test  = csv("plain-test.csv", target="class")
    standardize()
}
compile {
    loss = sparse_categorical_crossentropy
    optimizer = Adam(0.01)
    metrics = [accuracy]
}
fit { epochs = 6 }
END
cat >rich.nn <<'END'
model rich {
    Input(4)
    Dense(20, kernel_regularizer=L2(0.001))
    BatchNormalization()
    Activation(relu)
    Dropout(0.2)
    Residual { Dense(20, activation=gelu) }
    Dense(3)
}
data {
    train = csv("train.csv", target="class", weight="weight")
    test  = csv("test.csv", target="class", weight="weight")
    validation_split = 0.2
    standardize()
}
compile {
    loss      = sparse_categorical_crossentropy(from_logits=true)
    optimizer = SGD(learning_rate=CosineDecay(0.05, 200), momentum=0.9, nesterov=true, global_clipnorm=1.0)
    metrics   = [accuracy]
}
fit {
    epochs       = 8
    batch_size   = 16
    class_weight = {0: 1.0, 2: 2.0}
    callbacks    = [EarlyStopping(monitor=val_loss, patience=50), CSVLogger("log.csv")]
}
END
make_program() { # make_program NAME PROGRAM [NNC OPTION...] -- [FLAG...]
    name=$1 program=$2
    shift 2
    options=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do options="$options $1"; shift; done
    [ $# -gt 0 ] && shift
    # shellcheck disable=SC2086 # a list of options
    "$NNC" $options "$name.nn" -o "$program.c" && build "$program.c" "$program" "$@"
}
fit() { program=$1 weights=$2; shift 2; "./$program" fit --verbose=0 --weights="$weights" "$@"; }

learns() {
    "./$1" fit --verbose=2 --weights="$1.safetensors" >"$1.log" || return 1
    first=$(grep -oE ' loss: [0-9.e+-]+' "$1.log" | head -n 1 | cut -d: -f2)
    last=$(grep -oE ' loss: [0-9.e+-]+' "$1.log" | tail -n 1 | cut -d: -f2)
    accuracy=$("./$1" evaluate --verbose=0 --weights="$1.safetensors" | sed -n 's/^accuracy: //p')
    echo "$1: loss $first to $last, accuracy $accuracy"
    holds "$last < 0.7 * $first" && holds "$accuracy > 0.9"
}
twice() { fit "$1" again.safetensors && same "$1.safetensors" again.safetensors; }
threads() {
    for n in 1 2 3 8; do fit "$1" "threads-$n.safetensors" --threads=$n || return 1; done
    same "$1.safetensors" threads-[1238].safetensors
}
changes() {
    changing "$1.c" "$1-changing" && fit "$1-changing" changing.safetensors && same "$1.safetensors" changing.safetensors &&
        "./$1-changing" evaluate --verbose=0 --batch-size=4 --weights="$1.safetensors" >changing.txt &&
        "./$1" evaluate --verbose=0 --batch-size=4 --threads=1 --weights="$1.safetensors" >steady.txt && same steady.txt changing.txt
}
serial() { make_program "$1" "$1-serial" -- -O2 -march=native && fit "$1-serial" serial.safetensors && same "$1.safetensors" serial.safetensors; }
unplanned() {
    make_program "$1" "$1-unplanned" --no-memory-plan -- -O2 -march=native -fopenmp &&
        fit "$1-unplanned" unplanned.safetensors && same "$1.safetensors" unplanned.safetensors
}
sanitized() {
    make_program "$1" "$1-sanitized" --no-memory-plan -- -O1 -g -march=native -fsanitize=address,undefined -fno-sanitize-recover=all &&
        fit "$1-sanitized" sanitized.safetensors --epochs=2 &&
        "./$1-sanitized" evaluate --weights=sanitized.safetensors &&
        "./$1-sanitized" predict --input=inputs.csv --weights=sanitized.safetensors
}
# What is saved after three epochs goes on to the bits of a run that was not interrupted.
resumes() {
    fit "$1" half.safetensors --epochs=3 && fit "$1" half.safetensors --resume --epochs="$2" &&
        same "$1.safetensors" half.safetensors
}
predicts() {
    "./$1" predict --input=inputs.csv --weights="$1.safetensors" >predicted.csv &&
        [ "$(wc -l <predicted.csv)" -eq 100 ] && ! grep -qiE 'nan|inf' predicted.csv &&
        "./$1" predict --input=- --weights="$1.safetensors" <inputs.csv >piped.csv && same predicted.csv piped.csv
}
smaller_batch() { fit "$1" batch.safetensors --batch-size=5 --epochs=1; }
other_seed() { fit "$1" seed.safetensors --seed=7 && ! cmp -s "$1.safetensors" seed.safetensors; }

for name in plain rich; do
    epochs=$([ $name = plain ] && echo 6 || echo 8)
    check "$name compiles" make_program $name $name -- -O2 -march=native -fopenmp
    check "$name learns" learns $name
    check "$name gives the same bits twice" twice $name
    check "$name gives the same bits with 1, 2, 3 and 8 threads" threads $name
    check "$name gives the same bits with threads that change" changes $name
    check "$name gives the same bits without OpenMP" serial $name
    check "$name gives the same bits without a memory plan" unplanned $name
    check "$name is clean under the sanitizers" sanitized $name
    check "$name goes on after an interruption" resumes $name "$epochs"
    check "$name predicts from a file and a pipe" predicts $name
    check "$name takes a smaller batch" smaller_batch $name
    check "another seed gives $name other weights" other_seed $name
done

few_steps() { ./plain fit --steps=3 --epochs=2 --weights=few.safetensors --verbose=2 >few.txt; cat few.txt; [ "$(grep -c '^3/3 ' few.txt)" -eq 2 ]; }
check "epochs end after --steps" few_steps
check "all steps, where there are fewer" sh -c './plain fit --steps=1000 --epochs=1 --weights=all.safetensors --verbose=0 && ./plain fit --epochs=1 --weights=all2.safetensors --verbose=0 && cmp all.safetensors all2.safetensors'

# ---- nnc run: the same, compiled once
runs() { CC="gcc $NNC_CFLAGS" "$NNC" run plain.nn fit --verbose=0 --weights=run.safetensors; }
check "nnc run" runs
cached() { ls "$XDG_CACHE_HOME/nnc"/plain-* >before.txt && runs && ls "$XDG_CACHE_HOME/nnc"/plain-* >after.txt && same before.txt after.txt; }
check "nnc run compiles once" cached
larger_batch() { CC=gcc "$NNC" run plain.nn fit --verbose=0 --batch-size=64 --weights=large.safetensors; }
check "nnc run compiles a larger batch" larger_batch
ends_with() { wanted=$1; shift; "$@"; [ $? -eq "$wanted" ]; }
check "nnc run passes on the program's status" ends_with 2 "$NNC" run plain.nn fit --no-such-option
check "nnc run without a compiler" ends_with 3 env CC=no-such-compiler "$NNC" run plain.nn fit
# The trainer has room for larger batches than those of fit: the same bits without them, right numbers with them.
room() {
    "$NNC" --max-batch=32 $1.nn -o tight.c && build tight.c tight -O2 -march=native && "$NNC" $1.nn -o roomy.c && build roomy.c roomy -O2 -march=native &&
        ./tight fit --verbose=0 --weights=tight.safetensors && ./roomy fit --verbose=0 --weights=roomy.safetensors && same tight.safetensors roomy.safetensors &&
        "$NNC" --batch-size=100 $1.nn -o large.c && build large.c large -O2 -march=native &&
        ./large fit --epochs=2 --verbose=0 --weights=large.safetensors && ./roomy fit --epochs=2 --batch-size=100 --verbose=0 --weights=roomy.safetensors &&
        ./large evaluate --verbose=0 --weights=large.safetensors >large.txt && ./large evaluate --verbose=0 --weights=roomy.safetensors >roomy.txt &&
        paste large.txt roomy.txt | awk '{ d = $2 - $4; if (d < 0) d = -d; if (d > 1e-4 * ($2 + 1)) exit 1 } END { exit NR < 2 }'
}
check "room for larger batches" room plain
check "room for larger batches, with everything" room rich
nothing() { ./roomy init --seed=4 --weights=fresh.safetensors && ./roomy fit --epochs=0 --seed=4 --weights=nothing.safetensors && ./roomy evaluate --weights=nothing.safetensors; }
check "no epochs: weights are begun and saved" nothing
report
