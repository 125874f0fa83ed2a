/* What programs do with hiredis: hiredis_client PORT. Ends with `done`; a wrong reply is said, and the exit code is 1. */

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static redisContext *broker;

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static void check(int holds, const char *condition, int line) {
    if (holds) return;
    fprintf(stderr, "line %d: not so: %s%s%s\n", line, condition, broker->err ? "; " : "", broker->err ? broker->errstr : "");
    exit(1);
}

static redisReply *ask(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(broker, format, arguments);
    va_end(arguments);
    CHECK(reply != NULL);
    return reply;
}

static int is_text(const redisReply *reply, const char *bytes, size_t length) {
    return reply->type == REDIS_REPLY_STRING && (size_t)reply->len == length && memcmp(reply->str, bytes, length) == 0;
}

static void lists(void) {
    const char body[] = "\0binary\r\n\xff";
    redisReply *reply = ask("LPUSH %s %b", "jobs", body, sizeof body);
    CHECK(reply->type == REDIS_REPLY_INTEGER && reply->integer == 1);
    freeReplyObject(reply);
    reply = ask("BRPOP %s %d", "jobs", 5);
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
    CHECK(is_text(reply->element[0], "jobs", 4) && is_text(reply->element[1], body, sizeof body));
    freeReplyObject(reply);
    reply = ask("BRPOP jobs 0.01");
    CHECK(reply->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
    reply = ask("LPUSH jobs");
    CHECK(reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR wrong number of arguments", 29) == 0);
    freeReplyObject(reply);
}

static void pipeline(void) {
    enum { COUNT = 2000 };
    for (int number = 0; number < COUNT; number++) CHECK(redisAppendCommand(broker, "LPUSH queue %d", number) == REDIS_OK);
    for (int number = 0; number < COUNT; number++) CHECK(redisAppendCommand(broker, "RPOP queue") == REDIS_OK);
    for (int number = 0; number < 2 * COUNT; number++) {
        redisReply *reply;
        CHECK(redisGetReply(broker, (void **)&reply) == REDIS_OK);
        if (number < COUNT) {
            CHECK(reply->type == REDIS_REPLY_INTEGER && reply->integer == number + 1);
        } else {
            CHECK(reply->type == REDIS_REPLY_STRING && atoi(reply->str) == number - COUNT);
        }
        freeReplyObject(reply);
    }
}

/* The commands that Redis does not have go through the same generic call. */
static void leases(void) {
    freeReplyObject(ask("PUBLISHX leased %s HEADER kind test", "work"));
    redisReply *reply = ask("BTAKE leased 5");
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements == 6);
    redisReply **parts = reply->element[0]->element;
    CHECK(parts[1]->type == REDIS_REPLY_STRING && parts[2]->integer == 1 && is_text(parts[3], "work", 4));
    CHECK(parts[4]->elements == 2 && is_text(parts[4]->element[0], "kind", 4) && is_text(parts[4]->element[1], "test", 4));
    redisReply *acked = ask("ACK %s", parts[1]->str);
    CHECK(acked->type == REDIS_REPLY_STATUS && strcmp(acked->str, "OK") == 0);
    freeReplyObject(acked);
    acked = ask("ACK %s", parts[1]->str);
    CHECK(acked->type == REDIS_REPLY_ERROR && strncmp(acked->str, "LEASE_LOST ", 11) == 0);
    freeReplyObject(acked);
    freeReplyObject(reply);
}

static void transaction(void) {
    freeReplyObject(ask("MULTI"));
    redisReply *reply = ask("LPUSH queue a b");
    CHECK(reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "QUEUED") == 0);
    freeReplyObject(reply);
    freeReplyObject(ask("RPOP queue"));
    reply = ask("EXEC");
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
    CHECK(reply->element[0]->integer == 2 && is_text(reply->element[1], "a", 1));
    freeReplyObject(reply);
}

/* Before version 1 hiredis reads RESP2 alone; the program says which it was. */
static void three(void) {
#if HIREDIS_MAJOR >= 1
    redisReply *reply = ask("HELLO 3");
    CHECK(reply->type == REDIS_REPLY_MAP);
    freeReplyObject(reply);
    reply = ask("RPOP missing");
    CHECK(reply->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
    freeReplyObject(ask("PUBLISHX leased %s HEADER kind test", "work"));
    reply = ask("BTAKE leased 5");
    CHECK(reply->element[0]->element[4]->type == REDIS_REPLY_MAP);
    freeReplyObject(reply);
    lists();
    pipeline();
    puts("RESP3");
#else
    redisReply *reply = ask("HELLO 2");
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 14);
    freeReplyObject(reply);
    puts("RESP2");
#endif
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    broker = redisConnect("127.0.0.1", atoi(arguments[1]));
    if (broker == NULL) return 1;
    CHECK(broker->err == 0);
    lists();
    pipeline();
    leases();
    transaction();
    three();
    redisFree(broker);
    puts("done");
    return 0;
}
