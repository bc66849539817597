"""What a browser meets of Twilio: Flex's hosts, TaskRouter's event bridge, the sockets of Sync and of the voice SDK, behind one port."""

from .edge import BrowserEdge
from .flex_hosts import Plugin
from .socket_faults import NotificationFault, NotificationFaultKind
from .violations import Rule, Violation

__all__ = ["BrowserEdge", "NotificationFault", "NotificationFaultKind", "Plugin", "Rule", "Violation"]
