"""Whatever says that it implements an interface has all of its methods."""

import importlib
import pkgutil
import unittest
from collections.abc import Iterator

from zope.interface import Interface, Invalid, implementedBy, providedBy
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass, verifyObject

import imapd
from twisted.plugins import imapd_passwdfile, imapd_service


def own_classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(imapd.__path__, "imapd."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and value.__module__ == module.name:
                yield value


def is_kept_by_bases(interface: InterfaceClass, of: type) -> bool:
    """Whether Twisted's own classes below keep the promise that they make.

    What wraps a transport passes on by ``__getattr__`` what the class does not have.
    """
    for base in of.__mro__[1:]:
        if base.__module__.startswith("twisted.") and interface.implementedBy(base):
            try:
                verifyClass(interface, base)
            except Invalid:
                return False
    return True


class InterfaceTests(unittest.TestCase):
    def test_every_class_that_declares_one(self) -> None:
        declared = 0
        for each in own_classes():
            for interface in implementedBy(each).flattened():
                if interface is not Interface and is_kept_by_bases(interface, each):
                    declared += 1
                    self.assertTrue(verifyClass(interface, each), each)
        self.assertGreater(declared, 20)

    def test_the_plugins(self) -> None:
        for each in (
            imapd_service.imapd,
            imapd_passwdfile.passwd_file_checker_factory,
        ):
            provided = set(providedBy(each).flattened()) - {Interface}
            self.assertGreater(len(provided), 1)
            for interface in provided:
                self.assertTrue(verifyObject(interface, each), interface)
