/* nnrt_safetensors and nnrt_file: there and back, the exact bytes, every broken file, full disks, unwritable places. */
#include "nnrt_error.h"
#include "nnrt_safetensors.h"
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/nnrt-test-safetensors-XXXXXX";

static int write_file(const char *path, const void *data, size_t size) {
    nnrt_file_writer writer;
    int code = nnrt_file_begin(&writer, path);
    if (!code)
        code = nnrt_file_append(&writer, data, size);
    return code ? code : nnrt_file_finish(&writer);
}

static const char *in_folder(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int files_in_folder(void) {
    DIR *handle = opendir(folder);
    int count = 0;
    for (struct dirent *entry; handle && (entry = readdir(handle)) != NULL;)
        count += entry->d_name[0] != '.';
    if (handle)
        closedir(handle);
    return count;
}

static const float kernel[6] = {1, 2, 3, 4, 5, 6};
static const int32_t iteration = 77;
static const nnrt_tensor tensors[] = {
    {"dense/kernel", NNRT_TENSOR_F32, 2, {2, 3}, kernel, 0},
    {"iter\"\n\xC3\xA9", NNRT_TENSOR_I32, 0, {0}, &iteration, 0},
    {"empty", NNRT_TENSOR_F64, 2, {0, 5}, NULL, 0},
};
static const nnrt_metadata metadata[] = {{"format", "nnc"}, {"words", "[\"a\\b\"]\t\xF0\x9F\x98\x80"}};

static void check_round_trip(void) {
    nnrt_safetensors file;
    const nnrt_tensor *tensor;
    CHECK(nnrt_safetensors_write(in_folder("a.safetensors"), tensors, 3, metadata, 2) == 0);
    CHECK(nnrt_safetensors_read(in_folder("a.safetensors"), &file) == 0);
    CHECK(file.count == 3 && file.metadata_count == 2);
    for (int i = 0; i < 2; i++)
        CHECK_TEXT(nnrt_safetensors_metadata(&file, metadata[i].key), metadata[i].value);
    CHECK(nnrt_safetensors_metadata(&file, "other") == NULL && nnrt_safetensors_find(&file, "other") == NULL);
    tensor = nnrt_safetensors_find(&file, "dense/kernel");
    CHECK(tensor && tensor->dtype == NNRT_TENSOR_F32 && tensor->rank == 2 && tensor->dims[0] == 2 &&
          tensor->dims[1] == 3);
    CHECK(tensor && tensor->bytes == 24 && memcmp(tensor->data, kernel, 24) == 0);
    tensor = nnrt_safetensors_find(&file, tensors[1].name);
    CHECK(tensor && tensor->rank == 0 && tensor->bytes == 4 && memcmp(tensor->data, &iteration, 4) == 0);
    tensor = nnrt_safetensors_find(&file, "empty");
    CHECK(tensor && tensor->bytes == 0 && tensor->dims[1] == 5);
    CHECK((file.storage.size - 28) % 8 == 0); /* the header is filled up */
    nnrt_safetensors_free(&file);
    CHECK(files_in_folder() == 1);
    CHECK(nnrt_safetensors_write(in_folder("b"), NULL, 0, NULL, 0) == 0);
    CHECK(nnrt_safetensors_read(in_folder("b"), &file) == 0 && file.count == 0 && file.metadata_count == 0);
    nnrt_safetensors_free(&file);
    unlink(in_folder("b"));
}

static void check_bytes(void) {
    static const char expected[] =
        "\x50"
        "\0\0\0\0\0\0\0{\"__metadata__\":{\"k\":\"v\"},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} "
        "\0\0\x80\x3F";
    nnrt_tensor one = {"b", NNRT_TENSOR_F32, 1, {1}, (float[]){1.0f}, 0};
    nnrt_metadata pair = {"k", "v"};
    nnrt_bytes bytes;
    CHECK(nnrt_safetensors_write(in_folder("c"), &one, 1, &pair, 1) == 0);
    CHECK(nnrt_file_read(in_folder("c"), &bytes) == 0);
    CHECK(bytes.size == sizeof expected - 1 && memcmp(bytes.data, expected, bytes.size) == 0);
    nnrt_bytes_free(&bytes);
    unlink(in_folder("c"));
}

static int parse(const char *header, size_t data) {
    static unsigned char bytes[2000];
    nnrt_safetensors file;
    size_t length = strlen(header);
    int code;
    memset(bytes, 0, sizeof bytes);
    bytes[0] = (unsigned char)length;
    bytes[1] = (unsigned char)(length >> 8);
    memcpy(bytes + 8, header, length);
    code = nnrt_safetensors_parse(bytes, 8 + length + data, "w", &file);
    if (!code)
        nnrt_safetensors_free(&file);
    return code;
}

static void check_broken(void) {
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
         "a tensor lies outside the file; it is cut off or damaged"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9,
         "there are bytes after the last tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "a tensor's shape and its place in the file disagree"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
         "a tensor lies outside the file; it is cut off or damaged"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "a dtype is unknown"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[2],"
         "\"data_offsets\":[8,16]}}",
         16, "a tensor's name stands twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],"
         "\"data_offsets\":[4,12]}}",
         12, "tensors overlap, or there is a gap between them"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
         "tensors overlap, or there is a gap between them"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,16],\"data_offsets\":[0,0]}}", 0,
         "a tensor is too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8,
         "a tensor has more than 8 axes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "a whole number is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}", 8, "a whole number is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8,
         "a number is too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "a tensor lacks dtype, shape or data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 8, "a tensor has an unknown or doubled key"},
        {"{\"a\":{\"type\":\"F32\"}}", 8, "a tensor has an unknown or doubled key"},
        {"{\"a\\u0000\":{}}", 0, "a character that cannot be in a string"},
        {"{\"a\\ud800x\":{}}", 0, "half a surrogate pair"},
        {"{\"a\\x\":{}}", 0, "an unknown escape in a string"},
        {"{\"a\\u12g4\":{}}", 0, "\\u needs four hexadecimal digits"},
        {"{\"\xC0\x80\":{}}", 0, "a string is not UTF-8"},
        {"{\"a\n\":{}}", 0, "a control character in a string"},
        {"{\"a", 0, "a string does not end"},
        {"{\"a\"", 0, "a bracket, colon or comma is missing"},
        {"{} {}", 0, "there is text after its header"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "a metadata key stands twice"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ stands twice"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "a string is missing"},
    };
    nnrt_safetensors file;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[300];
        int code = parse(cases[i].header, cases[i].data);
        snprintf(message, sizeof message, "w: is not a sound .safetensors file: %s (byte ", cases[i].message);
        if (code != NNRT_ERROR_FORMAT || strncmp(nnrt_error_text(), message, strlen(message)) != 0)
            printf("%s -> %d %s\n", cases[i].header, code, nnrt_error_text());
        CHECK(code == NNRT_ERROR_FORMAT && strncmp(nnrt_error_text(), message, strlen(message)) == 0);
    }
    CHECK(parse("{\"\\u00e9\\ud83d\\ude00\":{\"shape\":[],\"data_offsets\":[0,1],\"dtype\":\"U8\"}}  \n", 1) == 0);
    CHECK(nnrt_safetensors_parse("hello", 5, "w", &file) == NNRT_ERROR_FORMAT);
    CHECK_TEXT(nnrt_error_text(), "w: is not a .safetensors file; give a file that was saved by this program");
    CHECK(nnrt_safetensors_parse("\200\0\0\0\0\0\0\0{}", 10, "w", &file) == NNRT_ERROR_FORMAT);
    CHECK_TEXT(nnrt_error_text(), "w: is cut off: the header needs 128 bytes, there are 2; save or copy it again");
    CHECK(nnrt_safetensors_read(in_folder("absent"), &file) == NNRT_ERROR_FILE);
}

/* Every beginning of a good file is refused. */
static void check_truncation(void) {
    nnrt_bytes bytes;
    int accepted = 0;
    CHECK(nnrt_file_read(in_folder("a.safetensors"), &bytes) == 0);
    for (size_t size = 0; size < bytes.size; size++) {
        nnrt_safetensors file;
        unsigned char *copy = malloc(size + 1); /* so that a sanitizer sees each read behind it */
        memcpy(copy, bytes.data, size);
        accepted += nnrt_safetensors_parse(copy, size, "w", &file) == 0;
        free(copy);
    }
    CHECK(accepted == 0);
    nnrt_bytes_free(&bytes);
}

static void check_unchanged(const char *name, size_t size) {
    struct stat status;
    CHECK(stat(in_folder(name), &status) == 0 && (size_t)status.st_size == size);
    CHECK(files_in_folder() == 1);
}

/* A full disk, by a limit on the size of files; and by the device that is always full. */
static void check_full_disk(void) {
    static char block[300000];
    struct rlimit limit, small;
    nnrt_tensor big = {"big", NNRT_TENSOR_U8, 1, {sizeof block}, block, 0};
    struct stat before;
    CHECK(stat(in_folder("a.safetensors"), &before) == 0);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 100000;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(nnrt_safetensors_write(in_folder("a.safetensors"), &big, 1, NULL, 0) == NNRT_ERROR_FILE);
    CHECK(strstr(nnrt_error_text(), "a.safetensors: cannot write: ") != NULL);
    check_unchanged("a.safetensors", (size_t)before.st_size);
    CHECK(write_file(in_folder("new"), block, sizeof block) == NNRT_ERROR_FILE);
    check_unchanged("a.safetensors", (size_t)before.st_size);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    if (access("/dev/full", W_OK) == 0) {
        CHECK(write_file("/dev/full", block, 10) == NNRT_ERROR_FILE);
        CHECK_TEXT(nnrt_error_text(),
                   "/dev/full: cannot write: No space left on device; make room, the old file is unchanged");
    }
    CHECK(write_file("/dev/null", block, 10) == 0);
    CHECK(write_file(in_folder("none/x"), block, 10) == NNRT_ERROR_FILE);
    CHECK(strstr(nnrt_error_text(), "cannot write: No such file or directory; make its folder first") != NULL);
    CHECK(write_file(folder, block, 10) == NNRT_ERROR_FILE);
}

static void check_writer(void) {
    static nnrt_safetensors_writer writer;
    nnrt_tensor same[2] = {tensors[0], tensors[0]};
    nnrt_bytes bytes;
    struct stat before, after;
    CHECK(stat(in_folder("a.safetensors"), &before) == 0);
    /* too few bytes */
    CHECK(nnrt_safetensors_begin(&writer, in_folder("a.safetensors"), tensors, 1, NULL, 0) == 0);
    CHECK(nnrt_safetensors_append(&writer, kernel, 20) == 0);
    CHECK(nnrt_safetensors_finish(&writer) == NNRT_ERROR_ARGUMENT);
    check_unchanged("a.safetensors", (size_t)before.st_size);
    /* given up */
    CHECK(nnrt_safetensors_begin(&writer, in_folder("a.safetensors"), tensors, 1, NULL, 0) == 0);
    nnrt_safetensors_abandon(&writer);
    CHECK(nnrt_safetensors_finish(&writer) != 0);
    check_unchanged("a.safetensors", (size_t)before.st_size);
    CHECK(nnrt_safetensors_write(in_folder("a.safetensors"), same, 2, NULL, 0) == NNRT_ERROR_ARGUMENT);
    CHECK(strstr(nnrt_error_text(), "\"dense/kernel\" cannot be written: a name stands twice, or is not UTF-8") !=
          NULL);
    /* the mode of the old file stays, and a link stays a link */
    CHECK(chmod(in_folder("a.safetensors"), 0600) == 0 && symlink("a.safetensors", in_folder("link")) == 0);
    CHECK(write_file(in_folder("link"), "hello", 5) == 0);
    CHECK(lstat(in_folder("link"), &after) == 0 && S_ISLNK(after.st_mode));
    CHECK(stat(in_folder("a.safetensors"), &after) == 0 && (after.st_mode & 0777) == 0600 && after.st_size == 5);
    CHECK(nnrt_file_read(in_folder("link"), &bytes) == 0 && bytes.size == 5);
    CHECK_TEXT((const char *)bytes.data, "hello");
    nnrt_bytes_free(&bytes);
    unlink(in_folder("link"));
    unlink(in_folder("a.safetensors"));
    CHECK(files_in_folder() == 0);
}

int main(void) {
    if (!mkdtemp(folder))
        return 1;
    check_round_trip();
    check_bytes();
    check_broken();
    check_truncation();
    check_full_disk();
    check_writer();
    rmdir(folder);
    return test_report();
}
