/* fields: objects whose fields are known beforehand. A table names each field once, with its type and whether it must
 * be there; checking, reading and writing such an object are made from the table. A JSON null counts as absent.
 */
#ifndef VMM_FIELDS_H
#define VMM_FIELDS_H

#include "base/base.h"

enum field_type {
	FIELD_TEXT,   /* a string                          member: char *, owned by the struct */
	FIELD_NAME,   /* a string that name_check accepts          char * */
	FIELD_PATH,   /* a string that path_check accepts          char * */
	FIELD_CHOICE, /* one of `choices`                          an enum: the index in `choices` */
	FIELD_NUMBER, /* an integer                                int64_t */
	FIELD_COUNT,  /* an integer that is not negative           int64_t; -1 where it is absent */
	FIELD_FLAG,   /* true or false                             bool */
	FIELD_OBJECT, /* any object                                struct json_object *, a reference */
	FIELD_LIST,   /* any array                                 struct json_object *, a reference */
};

/* What fields_write makes of a member that holds nothing: NULL, -1 of a FIELD_COUNT, false. */
enum field_empty {
	EMPTY_USUAL,	/* NULL and -1 are left out, false is written */
	EMPTY_NULL,	/* NULL and -1 are written as null */
	EMPTY_LEFT_OUT, /* false is left out too */
};

struct field {
	const char *name; /* NULL ends a table */
	enum field_type type;
	bool required;
	const char *choices;	    /* "source|target", of a FIELD_CHOICE */
	const char *when, *when_is; /* required only where the text field `when` has this value; NULL: see `required` */
	size_t offset;		    /* of its member, where objects of this kind have a struct */
	enum field_empty empty;
};

/* What a table has for a member of the same name. */
#define FIELD_OF(structure, member, kind, must)                                                                        \
	{                                                                                                              \
		.name = #member, .type = FIELD_##kind, .required = (must), .offset = offsetof(structure, member)       \
	}
#define FIELD_CHOICE_OF(structure, member, names, must)                                                                \
	{                                                                                                              \
		.name = #member, .type = FIELD_CHOICE, .choices = (names), .required = (must),                         \
		.offset = offsetof(structure, member)                                                                  \
	}

/* Checks that the object (NULL: an empty one) has what the table requires, each field with its type. Fields that the
 * table does not know are an error where `strict`, else they are ignored: a newer peer may send them. Error `code`
 * (VMM_FAILED), naming `what` the object is and the field. */
int fields_check(const struct field *table, struct json_object *object, const char *what, const char *code, bool strict,
		 struct vmm_error **err);

/* Checks the object as above (not strict) and fills the struct *into from it. Members whose fields are absent keep what
 * they have, but a FIELD_COUNT is -1 then; those that own something are NULL before. After an error *into holds what
 * was read so far; fields_free frees it. */
int fields_read(const struct field *table, struct json_object *object, const char *what, const char *code, void *into,
		struct vmm_error **err);
/* The object of a struct; belongs to the caller. Members that hold nothing are written as their `empty` says. */
struct json_object *fields_write(const struct field *table, const void *from);
/* Frees what the struct's members own, and makes it all zero where the table has members for it. */
void fields_free(const struct field *table, void *of);

/* The name of a choice by its index, and the index of a name (-1: none). The name is a copy of the caller's. */
char *choice_name(const char *choices, int index) VMM_MUST_USE;
int choice_index(const char *choices, const char *name);

#endif
