"""What a booted guest is made of: a kernel's image, its modules, a file system, and the initramfs with it."""
