#!/bin/sh
# tools/demo.sh from the built compiler on: in a tree of links whose build folder has nnc and its runtime, with a cmake that
# finds nothing to do. Everything that the demo makes, says and prints happens as it does for a user.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1
if [ -n "$NNC_CFLAGS" ]; then
    skip "the demo: this build has sanitizers"
    passed=1
    report
fi
missing=$(sh "$root/tools/setup.sh" --check) || { skip "the demo would install: $missing"; passed=1; report; }

mkdir -p tree/build/driver tree/build/runtime bin
for part in tools examples runtime; do ln -s "$root/$part" tree/$part; done
ln -s "$NNC" tree/build/driver/nnc
ln -s "$NNRT" tree/build/runtime/libnnrt.a
touch tree/build/build.ninja
case $NNC_LIBRARIES in *z*) echo 'ZLIB_LIBRARY_RELEASE:FILEPATH=libz.so' ;; esac >tree/build/CMakeCache.txt
cat >bin/cmake <<END
#!/bin/sh
[ "\$1" = --build ] || exec "$(command -v cmake)" "\$@"
echo "\$@" >>"$work/calls"
END
chmod +x bin/cmake

# demo.sh finds its tree by its own path: it must not be a link.
rm tree/tools && mkdir tree/tools && cp "$root"/tools/*.sh tree/tools
demo() { PATH=$work/bin:$PATH NO_COLOR=1 sh tree/tools/demo.sh </dev/null >said.txt 2>&1 || { tail -n 20 said.txt; return 1; }; }
says() { grep -q -- "$1" said.txt || { echo "no $1"; tail -n 30 said.txt; return 1; }; }
check "the demo ends well" demo
check "it builds nnc and the runtime" grep -q -- "--target nnc nnrt" calls
check "it shows the commands" says '^\$ nnc .*digits.nn -o digits.c'
check "it trains" says '^Epoch 10/10'
accuracy() { sed -n 's/^63\/63.* accuracy: \([0-9.]*\).*/\1/p' said.txt | awk '{ n++; if ($1 < 0.93) exit 1 } END { if (n != 1) exit 1 }'; }
check "it measures" accuracy
check "it draws digits" says '^predicted [0-9], '
for file in digits.c digits.h digits digits.safetensors; do check "it leaves $file" [ -s tree/build/demo/$file ]; done
check "it says what comes next" says 'digits --help'
check "a second time" demo
report
