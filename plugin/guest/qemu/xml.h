/* xml: the few things that this folder needs of libxml2. */
#ifndef VMM_QEMU_XML_H
#define VMM_QEMU_XML_H

#include <libxml/tree.h>

#include "base/base.h"

#define vmm_auto_xml __attribute__((cleanup(xml_close)))

/* Parses `text`, whose outermost element must be `root`. Nothing is loaded from elsewhere; a document type (and with it
 * entities) is refused. Error "bad-definition". */
int xml_open(const char *text, const char *root, xmlDoc **document, struct vmm_error **err);
void xml_close(xmlDoc **document);

/* The first element below `node` by a path of names ("os/nvram"), or NULL; node may be NULL. */
xmlNode *xml_below(xmlNode *node, const char *path);
/* The next sibling element of the same name, or NULL. */
xmlNode *xml_next(xmlNode *node);
/* Walks the child elements of that name. */
#define xml_each(child, node, name) for (xmlNode *child = xml_below(node, name); child; child = xml_next(child))

/* The element's name. */
bool xml_is(const xmlNode *node, const char *name);
/* Value of an attribute, or the text of an element; NULL where it is not there. The caller frees. */
char *xml_attribute(xmlNode *node, const char *name) VMM_MUST_USE;
char *xml_words(xmlNode *node) VMM_MUST_USE;
bool xml_attribute_is(xmlNode *node, const char *name, const char *value);

void xml_set(xmlNode *node, const char *name, const char *value);
void xml_unset(xmlNode *node, const char *name);
void xml_set_words(xmlNode *node, const char *words);
/* Takes the element out, and the white space before it. */
void xml_remove(xmlNode *node);

/* An element with all that is in it, as UTF-8 text without an XML declaration. */
char *xml_print(xmlNode *node) VMM_MUST_USE;

#endif
