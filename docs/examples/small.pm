set number 100
set size 500 10000
set transactions 200
set seed 7
run
quit
