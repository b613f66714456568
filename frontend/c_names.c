/* Names that a model cannot have, because the emitted file could not be compiled: words of C and C++, and what the
 * headers of the C library that it includes declare. Functions of the model are called NAME_fit, its type NAME, macros
 * NAME_BATCH. */
#include <ctype.h>
#include <string.h>
#include "frontend/analyse.h"

/* Lists of words, each with a blank behind it. */
static const char words[] =
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
    "alignas alignof asm bool catch class concept consteval constexpr constinit const_cast co_await co_return "
    "co_yield decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept nullptr "
    "operator private protected public reinterpret_cast requires static_assert static_cast template this "
    "thread_local throw true try typeid typename typeof using virtual wchar_t and and_eq bitand bitor compl not "
    "not_eq or or_eq xor xor_eq main linux unix i386 NULL EOF NAN INFINITY BUFSIZ EDOM ERANGE EINTR EINVAL EAGAIN "
    "ENOENT ENOMEM EIO FILE SIGINT SIGTERM SIGABRT SIGFPE SIGILL SIGSEGV HUGE HUGE_VAL HUGE_VALF HUGE_VALL "
    "FD_SETSIZE NFDBITS MATH_ERRNO MATH_ERREXCEPT MB_CUR_MAX math_errhandling WNOHANG WEXITED WSTOPPED WUNTRACED "
    "WCONTINUED WNOWAIT SCHED_FIFO SCHED_OTHER SCHED_RR BIG_ENDIAN LITTLE_ENDIAN PDP_ENDIAN BYTE_ORDER Job "
    "run_job assert complex imaginary errno environ signbit isfinite isnormal fpclassify offsetof va_start va_end "
    "va_arg va_copy unreachable ";

/* Functions and types of the standard headers; those of math.h also with f and l behind them. */
static const char library[] =
    "Byte FILE a64l abort abs access acct alarm aligned_alloc alloca arc4random arc4random_buf arc4random_uniform "
    "asctime asctime_r at_quick_exit atexit atof atoi atol atoll bcmp bcopy brk bsearch bzero calloc chdir chmod "
    "chown chroot clearenv clearerr clock close closefrom compress compress2 compressBound confstr creat crypt "
    "ctermid ctime ctime_r daemon daylight difftime div dprintf drand48 drand48_data drand48_r dup dup2 dysize "
    "ecvt ecvt_r endusershell erand48 erand48_r execl execle execlp execv execve execvp exit explicit_bzero "
    "faccessat fchdir fchmod fchmodat fchown fchownat fclose fcntl fcvt fcvt_r fd_mask fd_set fdatasync fdopen "
    "feof ferror fexecve fflush ffs ffsl ffsll fgetc fgetpos fgets fileno flock flockfile fmemopen fopen fork "
    "fpathconf fprintf fputc fputs fread free freopen fscanf fseek fseeko fsetpos fstat fstatat fsync ftell "
    "ftello ftruncate ftrylockfile funlockfile futimens fwrite gcvt get_crc_table getc getchar getcwd getdelim "
    "getdomainname getdtablesize getegid getentropy getenv geteuid getgid getgroups gethostid gethostname getline "
    "getloadavg getlogin getlogin_r getopt getpagesize getpass getpgid getpgrp getpid getppid getsid getsubopt "
    "getuid getusershell getw getwd gmtime gmtime_r gsignal imaxabs imaxdiv index initstate initstate_r "
    "internal_state ioctl isalnum isalnum_l isalpha isalpha_l isascii isatty isblank isblank_l iscntrl iscntrl_l "
    "isdigit isdigit_l isgraph isgraph_l islower islower_l isprint isprint_l ispunct ispunct_l isspace isspace_l "
    "isupper isupper_l isxdigit isxdigit_l itimerspec jrand48 jrand48_r kill killpg l64a labs lchmod lchown "
    "lcong48 lcong48_r ldiv lgamma_r lgammaf_r lgammal_r link linkat llabs lldiv localtime localtime_r lockf "
    "lrand48 lrand48_r lseek lstat malloc mblen mbstowcs mbtowc memccpy memchr memcmp memcpy memmove memory_order "
    "memset mkdir mkdirat mkdtemp mkfifo mkfifoat mknod mknodat mkstemp mkstemps mktemp mktime mrand48 mrand48_r "
    "nanosleep nice nrand48 nrand48_r on_exit open open_memstream openat optarg opterr optind optopt pathconf "
    "pause pclose perror pipe popen pread printf profil pselect psiginfo psignal putc putchar putenv puts putw "
    "pwrite qecvt qecvt_r qfcvt qfcvt_r qgcvt qsort quick_exit raise rand rand_r random random_data random_r read "
    "readlink readlinkat realloc reallocarray realpath remove rename renameat revoke rewind rindex rmdir rpmatch "
    "sbrk scanf seed48 seed48_r select setbuf setbuffer setdomainname setegid setenv seteuid setgid sethostid "
    "sethostname setlinebuf setlogin setpgid setpgrp setregid setreuid setsid setstate setstate_r setuid "
    "setusershell setvbuf sigaction sigaddset sigaltstack sigblock sigcontext sigdelset sigemptyset sigevent "
    "sigfillset siggetmask siginterrupt sigismember signal signgam sigpending sigprocmask sigqueue sigreturn "
    "sigsetmask sigstack sigsuspend sigtimedwait sigval sigwait sigwaitinfo sleep snprintf sprintf srand srand48 "
    "srand48_r srandom srandom_r sscanf ssignal stat stderr stdin stdout stpcpy stpncpy strcasecmp strcasecmp_l "
    "strcat strchr strcmp strcoll strcoll_l strcpy strcspn strdup strerror strerror_l strerror_r strftime "
    "strftime_l strlen strncasecmp strncasecmp_l strncat strncmp strncpy strndup strnlen strpbrk strrchr strsep "
    "strsignal strspn strstr strtod strtof strtoimax strtok strtok_r strtol strtold strtoll strtoq strtoul "
    "strtoull strtoumax strtouq strxfrm strxfrm_l symlink symlinkat sync syscall sysconf system tcgetpgrp "
    "tcsetpgrp tempnam termio time timegm timelocal timespec timespec_get timeval timezone tm tmpfile tmpnam "
    "tmpnam_r toascii tolower tolower_l toupper toupper_l truncate ttyname ttyname_r ttyslot tzname tzset uInt "
    "uLong u_char u_int u_long u_short ualarm uint ulong umask uncompress uncompress2 ungetc unlink unlinkat "
    "unsetenv ushort usleep utimensat va_list valloc vdprintf vfork vfprintf vfscanf vhangup vprintf vscanf "
    "vsnprintf vsprintf vsscanf wcstoimax wcstombs wcstoumax wctomb winsize write ";
static const char mathematics[] =
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp2 expm1 fabs fdim "
    "finite floor fma fmax fmin fmod frexp gamma hypot ilogb isinf isnan j0 j1 jn ldexp lgamma llrint llround log "
    "log10 log1p log2 logb lrint lround modf nan nearbyint nextafter nexttoward pow remainder remquo rint round "
    "scalb scalbln scalbn significand sin sinh sqrt tan tanh tgamma trunc y0 y1 yn ";

/* Whole families: of the runtime, of OpenMP, of zlib, of stdint.h and its relatives. */
static const char prefixes[] = "nnrt_ NNRT_ omp_ atomic_ pthread_ posix_ sched_ gz inflate deflate crc32 adler32 zlib ";
static const char capital_prefixes[] =
    "ATOMIC_ INT_ INT8_ INT16_ INT32_ INT64_ INTMAX_ INTPTR_ UINT_ UINT8_ UINT16_ UINT32_ UINT64_ UINTMAX_ "
    "UINTPTR_ CHAR_ SCHAR_ UCHAR_ SHRT_ USHRT_ LONG_ ULONG_ LLONG_ ULLONG_ SIZE_ SSIZE_ PTRDIFF_ WCHAR_ WINT_ "
    "FLT_ DBL_ LDBL_ FP_ M_ EXIT_ SIG_ RAND_ SEEK_ O_ S_ CLOCK_ ";

/* What of the name a word of the list can be: EXACT all, SUFFIX all but an f or l, PREFIX its beginning. */
typedef enum { EXACT, SUFFIX, PREFIX } Match;

static bool matches(const char *name, const char *list, Match match) {
    for (size_t length; (length = strcspn(list, " ")) > 0; list += length + 1) {
        if (strncmp(name, list, length) != 0)
            continue;
        const char *rest = name + length;
        if (!*rest || match == PREFIX || (match == SUFFIX && strchr("fl", *rest) && !rest[1]))
            return true;
    }
    return false;
}

bool c_name_taken(const char *name) {
    size_t length = strlen(name);
    bool capitals = true;
    for (size_t i = 0; i < length; i++)
        capitals = capitals && !islower((unsigned char)name[i]);
    return matches(name, words, EXACT) || matches(name, library, EXACT) || matches(name, mathematics, SUFFIX) ||
           matches(name, prefixes, PREFIX) || (capitals && matches(name, capital_prefixes, PREFIX)) ||
           (length > 2 && strcmp(name + length - 2, "_t") == 0) || strncmp(name, "__", 2) == 0 ||
           (name[0] == '_' && isupper((unsigned char)name[1]));
}
