"""Character classes of the grammar, one compiled class each.  RFC 3501 §9.

No pattern here holds more than one class and one quantifier, or two that share no
octet with what parts them: nothing can backtrack, whatever a client sends.  NUL, CR,
LF and octets above 0x7e are in none of them.
"""

import re

#   atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards /
#                   quoted-specials / resp-specials
#   ATOM-CHAR     = <any CHAR except atom-specials>
ATOM_CHARS = re.compile(rb'[^\x00-\x1f\x7f-\xff(){ %*"\\\]]+')

#   ASTRING-CHAR  = ATOM-CHAR / resp-specials        ; resp-specials = "]"
ASTRING_CHARS = re.compile(rb'[^\x00-\x1f\x7f-\xff(){ %*"\\]+')

#   list-char     = ATOM-CHAR / list-wildcards / resp-specials
LIST_CHARS = re.compile(rb'[^\x00-\x1f\x7f-\xff(){ "\\]+')

#   tag           = 1*<any ASTRING-CHAR except "+">
TAG_CHARS = re.compile(rb'[^\x00-\x1f\x7f-\xff(){ %*"\\+]+')

#   QUOTED-CHAR   = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials
# 8-bit octets are taken here, as clients put UTF-8 into quoted strings; the rule
# that asked for the string decides about them.
QUOTED_CHARS = re.compile(rb'[^\x00\r\n"\\]+')

DIGITS = re.compile(rb"[0-9]+")

#   sequence-set  = (seq-number / seq-range) *("," sequence-set)  / "$"
SEQUENCE_SET_CHARS = re.compile(rb"[0-9:*,$]+")

#   base64        = *(4base64-char) [base64-terminal]
BASE64_CHARS = re.compile(rb"[A-Za-z0-9+/=]+")

# Names of commands, options, data items and search keys.
WORD_CHARS = re.compile(rb"[A-Za-z0-9.-]+")

#   tag SP command-name, the beginning of every command, in one go
COMMAND_START = re.compile(b"(%b) (%b)" % (TAG_CHARS.pattern, WORD_CHARS.pattern))
