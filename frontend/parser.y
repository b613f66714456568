/* The grammar of .nn files. Builds the tree (frontend/ast.h) and nothing else; goes on after a mistake at the next
 * item. Brackets always arrive balanced (frontend/lexer.l). */
%define api.pure full
%define api.prefix {nnc_}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {void *scanner}
%parse-param {Parse *p}
%code requires {
#include "frontend/parse.h"
}
%code provides {
int nnc_lex(NNC_STYPE *, Span *, void *scanner);
}
%code {
#include "lexer.h"
#define YYMAXDEPTH 4000
#define YYLLOC_DEFAULT(current, rhs, n)                                                                                \
    ((current) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))                                                   \
                     : (Span){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end})
static void nnc_error(Span *span, void *scanner, Parse *p, const char *message);
}
%union {
    struct { double value; bool is_integer; } number;
    const char *text;
    BlockKind block;
    Expr *expr;
    Body *body;
    ArgumentList *arguments;
}
%token END 0 "end of file"
%token START_FILE START_EXPR
%token <text> NAME "a name" STRING "a string"
%token <number> NUMBER "a number"
%token <block> BLOCK "model, data, compile or fit"
%token LET "`let`" MINIMIZE "`minimize`" OVER "`over`"
%token TRUE_WORD "true" FALSE_WORD "false" NONE_WORD "none"
%token SEPARATOR "a new line" COMMA "`,` " OPEN_BODY "`{`" OPEN "`{` "
%token POWER "`**`" FLOOR_DIVIDE "`//`"
%token '(' "`(`" ')' "`)`" '[' "`[`" ']' "`]`" '}' "`}`" ',' "`,`" ';' "`;`" ':' "`:`" '=' "`=`"
%token '+' "`+`" '-' "`-`" '*' "`*`" '/' "`/`" '%' "`%`"
%left '+' '-'
%left '*' '/' '%' FLOOR_DIVIDE
%precedence SIGN
%right POWER
%type <expr> expr call items list pairs dict tuple
%type <body> body entries
%type <text> name
%type <arguments> arguments filled_arguments
%%
start:
    START_FILE file
  | START_EXPR expr { p->result = $2; }
  ;
file:
    %empty
  | file separator
  | file item
  | file error SEPARATOR { yyerrok; }
  ;
item:
    LET NAME '=' expr { ast_push_let(p, $2, @2, $4); }
  | BLOCK name body { ast_push_block(p, $1, @1, $2, @2, $3, @$); }
  | NAME name body { ast_unknown_block(p, $1, @1); }
  | NAME '=' expr { ast_let_without_keyword(p, $1, @1, $3); }
  | call_outside
  ;
call_outside:
    NAME '(' arguments ')' { ast_call_outside(p, $1, @$); }
  ;
name:
    %empty { $$ = NULL; }
  | NAME
  ;
body:
    OPEN_BODY entries '}' { $$ = $2; $$->span = @$; }
  | OPEN_BODY entries error '}' { $$ = $2; $$->span = @$; yyerrok; }
  ;
entries:
    %empty { $$ = body_new(p); }
  | entries separator
  | entries call { body_push_element(p, $1, @2, $2); }
  | entries NAME { body_push_element(p, $1, @2, expr_text(p, EXPR_NAME, @2, $2)); }
  | entries NAME '=' expr { body_push(p, $1, ENTRY_ASSIGN, span_join(@2, @4), $2, @2, $4, NULL); }
  | entries MINIMIZE expr OVER NAME { body_push(p, $1, ENTRY_MINIMIZE, span_join(@2, @5), $5, @5, $3, NULL); }
  | entries OPEN entries '}' {
        $3->span = span_join(@2, @4);
        body_push(p, $1, ENTRY_BLOCK, $3->span, NULL, $3->span, NULL, $3);
    }
  | entries OPEN entries error '}' { yyerrok; }
  | entries error SEPARATOR { yyerrok; }
  ;
call:
    NAME '(' arguments ')' { $$ = expr_call(p, @$, $1, @1, $3, NULL); }
  | NAME '(' arguments ')' body { $$ = expr_call(p, @$, $1, @1, $3, $5); }
  | NAME body { $$ = expr_call(p, @$, $1, @1, NULL, $2); }
  ;
arguments:
    %empty { $$ = NULL; }
  | filled_arguments
  | filled_arguments ','
  ;
filled_arguments:
    expr { $$ = argument_push(p, NULL, NULL, @1, $1); }
  | NAME '=' expr { $$ = argument_push(p, NULL, $1, @1, $3); }
  | error { $$ = NULL; }
  | filled_arguments ',' expr { $$ = argument_push(p, $1, NULL, @3, $3); }
  | filled_arguments ',' NAME '=' expr { $$ = argument_push(p, $1, $3, @3, $5); }
  | filled_arguments ',' error
  ;
expr:
    NUMBER { $$ = expr_number(p, @$, $1.value, $1.is_integer); }
  | STRING { $$ = expr_text(p, EXPR_STRING, @$, $1); }
  | NAME { $$ = expr_text(p, EXPR_NAME, @$, $1); }
  | TRUE_WORD { $$ = expr_new(p, EXPR_BOOL, @$); $$->boolean = true; }
  | FALSE_WORD { $$ = expr_new(p, EXPR_BOOL, @$); }
  | NONE_WORD { $$ = expr_new(p, EXPR_NONE, @$); }
  | call
  | list
  | tuple
  | dict
  | '(' expr ')' { $$ = $2; $$->span = @$; }
  | '-' expr %prec SIGN { $$ = expr_operation(p, @$, '-', NULL, $2); }
  | '+' expr %prec SIGN { $$ = expr_operation(p, @$, '+', NULL, $2); }
  | expr '+' expr { $$ = expr_operation(p, @$, '+', $1, $3); }
  | expr '-' expr { $$ = expr_operation(p, @$, '-', $1, $3); }
  | expr '*' expr { $$ = expr_operation(p, @$, '*', $1, $3); }
  | expr '/' expr { $$ = expr_operation(p, @$, '/', $1, $3); }
  | expr '%' expr { $$ = expr_operation(p, @$, '%', $1, $3); }
  | expr FLOOR_DIVIDE expr { $$ = expr_operation(p, @$, 'q', $1, $3); }
  | expr POWER expr { $$ = expr_operation(p, @$, '^', $1, $3); }
  ;
items:
    expr { $$ = expr_push(p, NULL, $1); }
  | items ',' expr { $$ = expr_push(p, $1, $3); }
  ;
list:
    '[' ']' { $$ = expr_list(p, EXPR_LIST, @$, NULL); }
  | '[' items ']' { $$ = expr_list(p, EXPR_LIST, @$, $2); }
  | '[' items ',' ']' { $$ = expr_list(p, EXPR_LIST, @$, $2); }
  | '[' error ']' { $$ = expr_list(p, EXPR_LIST, @$, NULL); }
  ;
tuple:
    '(' ')' { $$ = expr_list(p, EXPR_TUPLE, @$, NULL); }
  | '(' expr ',' ')' { $$ = expr_list(p, EXPR_TUPLE, @$, expr_push(p, NULL, $2)); }
  | '(' expr ',' items ')' { $$ = expr_list(p, EXPR_TUPLE, @$, NULL); $$ = expr_push(p, $$, $2);
                             for (int i = 0; i < $4->list.count; i++) $$ = expr_push(p, $$, $4->list.items[i]); }
  | '(' expr ',' items ',' ')' { $$ = expr_list(p, EXPR_TUPLE, @$, NULL); $$ = expr_push(p, $$, $2);
                             for (int i = 0; i < $4->list.count; i++) $$ = expr_push(p, $$, $4->list.items[i]); }
  | '(' error ')' { $$ = expr_list(p, EXPR_TUPLE, @$, NULL); }
  ;
dict:
    OPEN separators '}' { $$ = expr_list(p, EXPR_DICT, @$, NULL); }
  | OPEN separators pairs '}' { $$ = expr_list(p, EXPR_DICT, @$, $3); }
  | OPEN separators error '}' { $$ = expr_list(p, EXPR_DICT, @$, NULL); yyerrok; }
  ;
separator:
    SEPARATOR
  | COMMA
  ;
separators:
    %empty
  | separators separator
  ;
pairs:
    expr ':' expr { $$ = expr_push(p, expr_push(p, NULL, $1), $3); }
  | pairs separator
  | pairs separator expr ':' expr { $$ = expr_push(p, expr_push(p, $1, $3), $5); }
  ;
%%
static void nnc_error(Span *span, void *scanner, Parse *p, const char *message) {
    (void)scanner;
    p->failed = true;
    if (strstr(message, "memory"))
        diag_error(p->diag, *span, "nested too deeply");
    else
        diag_error(p->diag, *span, "%s", message);
}

static bool is_newline(const Parse *p, Span span) {
    return !p->placed && span.start < p->source->length && p->source->text[span.start] == '\n';
}

/* What was found, in the user's words: the text itself where there is one. */
static const char *found_words(const Parse *p, const yypcontext_t *context) {
    Span span = *yypcontext_location(context);
    yysymbol_kind_t token = yypcontext_token(context);
    if (token == YYSYMBOL_YYEOF || token == YYSYMBOL_YYEMPTY)
        return "end of the file";
    if (token == YYSYMBOL_SEPARATOR && is_newline(p, span))
        return "end of the line";
    if (p->placed || span.end <= span.start || span.end - span.start > 40)
        return yysymbol_name(token);
    return arena_format(p->arena, "`%.*s`", (int)(span.end - span.start), p->source->text + span.start);
}

/* What could stand there, if it is little enough to say. */
static void expected_words(const yypcontext_t *context, Text *out) {
    enum { ALL = 40, FEW = 4 };
    yysymbol_kind_t expected[ALL], told[ALL];
    int count = yypcontext_expected_tokens(context, expected, ALL), few = 0;
    bool number = false, string = false, comma = false, plus = false;
    const char *close = NULL;
    for (int i = 0; i < count; i++) {
        yysymbol_kind_t token = expected[i];
        number = number || token == YYSYMBOL_NUMBER;
        string = string || token == YYSYMBOL_STRING;
        const char *name = yysymbol_name(token);
        comma = comma || strcmp(name, "`,`") == 0;
        plus = plus || strcmp(name, "`+`") == 0;
        if (strcmp(name, "`)`") == 0 || strcmp(name, "`]`") == 0)
            close = name;
        if (token != YYSYMBOL_MINIMIZE && token != YYSYMBOL_OPEN && token != YYSYMBOL_COMMA)
            told[few++] = token;
    }
    if (number && string) {
        text_add(out, "; expected a value");
        return;
    }
    if (comma && plus && close) { /* after a value in brackets: an operator is seldom meant */
        text_format(out, "; expected `,` or %s", close);
        return;
    }
    for (int i = 0; few <= FEW && i < few; i++)
        text_format(out, "%s%s", i == 0 ? "; expected " : i + 1 == few ? " or " : ", ", yysymbol_name(told[i]));
}

static int yyreport_syntax_error(const yypcontext_t *context, void *scanner, Parse *p) {
    (void)scanner;
    if (p->item_word && p->previous_token == NAME) { /* hello world */
        p->failed = true;
        ast_unknown_block(p, p->item_word, p->item_span);
        return 0;
    }
    Text expected = {0};
    text_add(&expected, "");
    expected_words(context, &expected);
    p->failed = true;
    diag_error(p->diag, *yypcontext_location(context), "unexpected %s%s", found_words(p, context), expected.data);
    text_free(&expected);
    yysymbol_kind_t found = yypcontext_token(context);
    if (p->previous_token == NAME && (found == YYSYMBOL_NUMBER || found == YYSYMBOL_STRING))
        diag_help(p->diag, "arguments are written in parentheses, settings with `=`");
    return 0;
}

static void parse_run(Parse *p) {
    void *scanner;
    if (nnc_lex_init_extra(p, &scanner)) {
        diag_error(p->diag, (Span){p->source, 0, 0}, "no memory for this file");
        return;
    }
    nnc__scan_bytes(p->source->text, (int)p->source->length, scanner);
    if (nnc_parse(scanner, p) != 0)
        p->failed = true;
    nnc_lex_destroy(scanner);
}

Ast *ast_parse(Arena *arena, Interner *names, Diag *diag, const SourceFile *source) {
    Parse p = {.arena = arena, .names = names, .diag = diag, .source = source, .start_token = START_FILE};
    p.ast = ARENA_NEW(arena, Ast);
    p.ast->source = source;
    if (source->length > 64u << 20) {
        diag_error(diag, (Span){source, 0, 0}, "the file is larger than 64 MB: this is not a program");
        return NULL;
    }
    const char *zero = memchr(source->text, 0, source->length);
    if (zero) {
        uint32_t at = (uint32_t)(zero - source->text);
        diag_error(diag, (Span){source, at, at + 1}, "this is not a text file: it has a zero byte");
        return NULL;
    }
    parse_run(&p);
    return p.ast;
}

Expr *ast_parse_expr(Arena *arena, Interner *names, Diag *diag, const char *text, Span place) {
    SourceFile source = {"", text, strlen(text)};
    Parse p = {.arena = arena, .names = names, .diag = diag, .source = &source, .start_token = START_EXPR};
    p.ast = ARENA_NEW(arena, Ast);
    p.placed = true;
    p.place = place;
    parse_run(&p);
    return p.failed ? NULL : p.result;
}
