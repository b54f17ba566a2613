"""The contract as a whole: every service of `roomline.v1`, also those that nobody here serves."""

import importlib
import pkgutil

import roomline.v1
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in pkgutil.iter_modules(roomline.v1.__path__)
    if module.name.endswith("_pb2")
    for service in importlib.import_module(f"roomline.v1.{module.name}").DESCRIPTOR.services_by_name.values()
)

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}
"""Full method name, `/package.Service/Method` → descriptor."""
