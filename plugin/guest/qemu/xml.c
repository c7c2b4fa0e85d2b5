/* xml.c: reads and changes XML by libxml2. */
#include <libxml/parser.h>
#include <libxml/xmlsave.h>
#include <string.h>

#include "qemu.h"

enum { XML_LIMIT = 16 << 20 };

int xml_open(const char *text, const char *root, xmlDoc **document, struct vmm_error **err)
{
	size_t length = text ? strlen(text) : 0;
	*document = NULL;
	if (!length || length > XML_LIMIT)
		return error_set(err, VMM_FAILED, "bad-definition", "the definition is %s",
				 length ? "too large" : "empty");
	xmlDoc *parsed =
		xmlReadMemory(text, (int)length, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (!parsed) {
		const xmlError *problem = xmlGetLastError();
		return error_set(err, VMM_FAILED, "bad-definition",
				 "the definition is not well-formed XML: line %d: %s", problem ? problem->line : 0,
				 problem ? problem->message : "unknown error");
	}
	xmlNode *top = xmlDocGetRootElement(parsed);
	if (parsed->intSubset || !top || !xml_is(top, root)) {
		xmlFreeDoc(parsed);
		return error_set(err, VMM_FAILED, "bad-definition",
				 "the definition is not a <%s> element without a document type", root);
	}
	/* Without an encoding, libxml2 would write characters other than ASCII in attributes as numbers. */
	if (!parsed->encoding)
		parsed->encoding = xmlStrdup((const xmlChar *)"UTF-8");
	*document = parsed;
	return 0;
}

void xml_close(xmlDoc **document)
{
	xmlFreeDoc(*document);
	*document = NULL;
}

bool xml_is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name);
}

static xmlNode *element_named(xmlNode *node, const char *name, size_t length)
{
	for (; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && strlen((const char *)node->name) == length &&
		    !memcmp(node->name, name, length))
			return node;
	return NULL;
}

xmlNode *xml_below(xmlNode *node, const char *path)
{
	while (node && *path) {
		size_t length = strcspn(path, "/");
		node = element_named(node->children, path, length);
		path += length + (path[length] == '/');
	}
	return node;
}

xmlNode *xml_next(xmlNode *node)
{
	return element_named(node->next, (const char *)node->name, strlen((const char *)node->name));
}

/* libxml2 has an allocator of its own; our callers use free(). */
static char *to_malloc(xmlChar *text)
{
	char *copy = text ? str_copy((const char *)text) : NULL;
	xmlFree(text);
	return copy;
}

char *xml_attribute(xmlNode *node, const char *name)
{
	return node ? to_malloc(xmlGetNoNsProp(node, (const xmlChar *)name)) : NULL;
}

char *xml_text(xmlNode *node)
{
	return node ? to_malloc(xmlNodeGetContent(node)) : NULL;
}

bool xml_attribute_is(xmlNode *node, const char *name, const char *value)
{
	vmm_auto_free char *found = xml_attribute(node, name);
	return str_same(found, value);
}

void xml_set(xmlNode *node, const char *name, const char *value)
{
	if (!xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value))
		abort();
}

void xml_unset(xmlNode *node, const char *name)
{
	xmlUnsetProp(node, (const xmlChar *)name);
}

/* xmlNodeSetContent would take '&' for the beginning of an entity; xmlNodeAddContent does not. */
void xml_set_text(xmlNode *node, const char *text)
{
	xmlNodeSetContent(node, NULL);
	xmlNodeAddContent(node, (const xmlChar *)text);
}

void xml_remove(xmlNode *node)
{
	xmlNode *before = node->prev;
	if (before && before->type == XML_TEXT_NODE && xmlIsBlankNode(before)) {
		xmlUnlinkNode(before);
		xmlFreeNode(before);
	}
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

char *xml_print(xmlNode *node)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlSaveCtxt *save = buffer ? xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL) : NULL;
	if (!save || xmlSaveTree(save, node) < 0 || xmlSaveClose(save) < 0)
		abort();
	char *text = str_copy((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return text;
}
