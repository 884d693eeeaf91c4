"""The full-system simulator: QEMU under our plugin, one guest after the other or side by side."""
