// SPDX-License-Identifier: GPL-2.0

//! How the kernel's NBD client is set up (linux/nbd.h).

nix::ioctl_write_int_bad!(nbd_set_sock, nix::request_code_none!(0xab, 0));
nix::ioctl_write_int_bad!(nbd_set_blksize, nix::request_code_none!(0xab, 1));
nix::ioctl_none!(nbd_do_it, 0xab, 3);
nix::ioctl_none!(nbd_clear_sock, 0xab, 4);
nix::ioctl_write_int_bad!(nbd_set_size_blocks, nix::request_code_none!(0xab, 7));
nix::ioctl_none!(nbd_disconnect, 0xab, 8);
