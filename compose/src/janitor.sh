# Ends the servers below the folder $1 and removes it, once the process at the other end of stdin is
# gone.
cat > /dev/null
for run in "$1"/*.run; do
    [ -s "$run" ] || continue
    read -r signal pid < "$run"
    kill -s "$signal" "$pid"
    kill -s CONT "$pid"
done
rm -rf -- "$1"/*/
for run in "$1"/*.run; do
    [ -s "$run" ] || continue
    read -r signal pid < "$run"
    patience=70
    while [ "$patience" -gt 0 ] && kill -0 "$pid"; do
        patience=$((patience - 1))
        sleep 0.1
    done
    kill -s KILL "$pid"
done
rm -rf -- "$1"
