"""Faster versions of what makes the contexts of Jinja, and their templates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .find import find

_KEPT = 4096
_HAVE_PATHS: dict[type, bool] = {}


def init_generator(
    self: Any, macro: Any, context: Any = None, node: Any = None, stack: Any = None
) -> None:
    """Make the generator of a macro in one call instead of three."""
    self.context = context
    self.macro = macro
    self.node = node
    self.stack = stack


def build_namespace(self: Any, macros_by_package: Any, ctx: dict[str, Any]) -> Any:
    """Make the macros of a context, package by package, without calls for each."""
    make, node, stack = find("dbt.context.macros:MacroGenerator"), self.node, self.thread_ctx
    for package, macros in macros_by_package.items():
        made = {name: make(macro, ctx, node, stack) for name, macro in macros.items()}
        if package in self.internal_package_names:
            self.internal_packages[package] = made
            continue
        self.packages[package] = made
        if package == self.search_package:
            self.locals.update(made)
        elif package == self.root_package:
            self.globals.update(made)
    of_dbt: dict[str, Any] = {}
    for package in reversed(self.internal_package_names_order):
        of_dbt.update(self.internal_packages.get(package, {}))
    return find("dbt.context.macros:MacroNamespace")(
        self.globals, self.locals, of_dbt, self.packages
    )


def manifest_context(self: Any) -> Any:
    """Add the macros to a context at once: dbt looks for each in five places."""
    context = super(find("dbt.context.manifest:ManifestContext"), self).to_dict()
    if isinstance(self.namespace, find("dbt.context.macro_resolver:TestMacroNamespace")):
        context.update(self.namespace.local_namespace)
        context.update(self.namespace.project_namespace)
    else:
        for found in reversed(tuple(self.namespace._search_order())):  # noqa: SLF001
            context.update(found)
    return context


class WrappedExports:
    """Wraps the exceptions of a context once for each model, and not for each context."""

    def __init__(self, own: Callable[[Any], dict[str, Any]]) -> None:
        self._own = own
        self._known: dict[int, tuple[Any, dict[str, Any]]] = {}

    def __call__(self, model: Any) -> dict[str, Any]:
        """Return the exceptions."""
        known = self._known.get(id(model))
        if known is None:
            if len(self._known) > _KEPT:
                self._known.clear()
            known = self._known[id(model)] = (model, self._own(model))
        return dict(known[1])


class Compiled:
    """Compiles a template once: the result depends on the kind of environment alone."""

    def __init__(self, own: Callable[..., Any]) -> None:
        self._own = own
        self._known: dict[tuple[type, str], Any] = {}

    def __get__(self, environment: Any, kind: type) -> Any:
        """Bind it to an environment, as a function would be."""
        return partial(self, environment)

    def __call__(self, environment: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the code of a template."""
        is_plain = environment.undefined is find("jinja2:Undefined")
        if args or kwargs or not is_plain or find("dbt_common.clients.jinja:MACRO_DEBUGGING"):
            return self._own(environment, source, *args, **kwargs)
        key = (type(environment), source)
        if key not in self._known:
            if len(self._known) > _KEPT:
                self._known.clear()
            self._known[key] = self._own(environment, source)
        return self._known[key]


def generate_merged(self: Any) -> Any:
    """Merge the variables that a node sees. Whether a kind of node has a path is asked once."""
    node, providers = self._node, "dbt.context.providers:"
    if type(node) not in _HAVE_PATHS:
        _HAVE_PATHS[type(node)] = isinstance(node, find(f"{providers}IsFQNResource"))
    if not _HAVE_PATHS[type(node)]:
        node = find(f"{providers}FQNLookup")(node.package_name)
    merged = find(f"{providers}MultiDict")()
    for project in self.packages_for_node():
        merged.add(project.vars.vars_for(node, self._config.credentials.type))
    merged.add(self._cli_vars)
    return merged


class ArgsToDict:
    """Describes the arguments of an invocation anew only if they have changed."""

    def __init__(self, own: Callable[[Any], dict[str, Any]]) -> None:
        self._own = own
        self._known: tuple[Any, Any] = (None, None)

    def __call__(self, args: Any) -> dict[str, Any]:
        """Return the arguments as a dict."""
        asked = {**vars(args), **find("dbt.flags:get_flag_dict")()}
        known, found = self._known
        if known != asked:
            found = self._own(args)
            self._known = asked, found
        return {k: dict(v) if isinstance(v, dict) else v for k, v in found.items()}
