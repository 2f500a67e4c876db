#!/bin/sh
# The lab from end to end on a simulated study: data, pretraining, alignment, adapter, evaluation. Restartable.
# usage: lab.sh BCI-MUSIC OUT      e.g. lab.sh .venv/bin/bci-music out/lab
set -eu
bci_music=$1
out=$2

"$bci_music" simulate nmed --preset small --out "$out/study"
"$bci_music" data prepare nmed-t "$out/study/nmed-t" nmed-h "$out/study/nmed-h" --out "$out/prepared"
"$bci_music" pretrain --data "$out/prepared" --preset small --out "$out/pretrain"
"$bci_music" align --data "$out/prepared" --preset small --pretrained "$out/pretrain" --out "$out/align"
"$bci_music" adapt --data "$out/prepared" --run "$out/align"
"$bci_music" evaluate --data "$out/prepared" --run "$out/align" --out "$out/report"
