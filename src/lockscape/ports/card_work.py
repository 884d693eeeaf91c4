"""New code of ports that do not do the network card's work in its handlers, as `kernel.entry` does."""

from lockscape.kernel.card import free_packet, start_receive, start_transmit, take_arrived, take_sent
from lockscape.kernel.incoming import acknowledge, netif_rx
from lockscape.kernel.network_objects import DATA
from lockscape.program.language import function


@function()
def take_in() -> None:
    """Queue the packet that has come, and let the next one come."""
    packet = take_arrived()
    start_receive()
    netif_rx(packet)


@function()
def finish_sending() -> None:
    """Send the next packet, and free the one that is out."""
    packet = take_sent()
    start_transmit()
    start_receive()
    if packet.kind == DATA:
        acknowledge(packet.source, packet.bytes)
    free_packet(packet)
