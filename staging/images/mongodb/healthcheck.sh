#!/bin/sh
exec accounts health
