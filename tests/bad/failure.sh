#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# One result that is not ok, and one that is missing.
# fails: 2 of 3 results
echo 1..3
echo ok 1 - this one
echo not ok 2 - not this one
